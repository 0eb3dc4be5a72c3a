"""Both arms at work on one request: which rows fall to whom, and the champion in the place of a challenger that fails.

Keep out: where a call runs (`pace.py`), what follows many failures (`fast_fail.py`), HTTP.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.serving.pace import Paced
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.split import challengers_rows, units_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.predictions.log.line import Variant
    from mlops_assets.serving.arm import Arm, Scored
    from mlops_assets.serving.body import Record
    from mlops_assets.serving.fast_fail import FastFail
    from mlops_assets.serving.metrics import Metrics
    from mlops_assets.serving.models import Served

LONGEST_ERROR = 500


class Part(msgspec.Struct):
    """The rows of a request that one arm answered, or failed on.

    Attributes:
        assigned: The arm that they had fallen to.
        positions: Of the rows in the request; None: all of them.
        units: Hash of each row's unit; empty without a challenger.
        scored: None where the arm failed.
        error: What failed in the assigned arm.
        seconds: In the arm alone; None where it was asked together with other requests.
    """

    arm: Arm
    variant: Variant
    assigned: Variant
    event_id: str
    rows: Sequence[Record]
    positions: list[int] | None = None
    units: Sequence[bytes] = ()
    scored: Scored | None = None
    error: str = ""
    status: int = 200
    seconds: float | None = None


class Arms:
    """The arms of one worker."""

    def __init__(self, fast_fail: FastFail, metrics: Metrics) -> None:
        self._fast_fail, self._metrics = fast_fail, metrics
        self._paced: dict[tuple[str, int], Paced] = {}

    async def answer(self, served: Served, rows: Sequence[Record], event_id: str, until: float) -> list[Part]:
        """Return the parts that all rows were answered in; one that the champion failed on stands last, and says so.

        Args:
            until: `time.monotonic()` by which they must be there.

        Raises:
            Problem: A row does not fit the model.
        """
        traffic, challenger = served.traffic, served.challenger
        champion = served.champion
        if traffic is None or challenger is None or self.is_out(served):
            return [await self._champions(served, Part(champion, "champion", "champion", event_id, rows), until)]
        units = units_of(traffic, rows, event_id)
        theirs = challengers_rows(traffic, units)
        if not theirs:
            whole = Part(champion, "champion", "champion", event_id, rows, None, units)
            return [await self._champions(served, whole, until)]
        if len(theirs) == len(rows):
            whole = Part(challenger, "challenger", "challenger", event_id, rows, None, units)
            return [await self._challengers(served, whole, until)]
        kept = set(theirs)
        ours = [place for place in range(len(rows)) if place not in kept]
        parts = [
            await self._champions(served, _cut(champion, "champion", event_id, rows, ours, units), until),
        ]
        if parts[0].scored is not None:
            part = _cut(challenger, "challenger", event_id, rows, theirs, units)
            parts.append(await self._challengers(served, part, until))
        return parts

    def is_out(self, served: Served) -> bool:
        """Tell whether this worker asks the challenger nothing any more."""
        return served.traffic is not None and self._fast_fail.is_out(served.traffic)

    def is_quick(self, served: Served, arm: Arm) -> bool:
        """Tell whether an arm has shown that it may be scored on the event loop."""
        paced = self._paced.get((served.model, arm.route.version))
        return paced is not None and paced.arm is arm and paced.is_quick

    async def shadow(self, served: Served, part: Part, until: float) -> None:
        """Let an arm score what the other one answered."""
        try:
            await self._score(served, part, until)
        except Exception as error:  # noqa: BLE001  (nobody waits for it; the log tells)
            part.error, part.status = _said(error), 500
        if part.variant == "challenger" and served.traffic is not None:
            self._fast_fail.record(served.model, served.traffic, has_failed=part.scored is None)

    async def _champions(self, served: Served, part: Part, until: float) -> Part:
        try:
            await self._score(served, part, until)
        except Problem:
            raise
        except TimeoutError:
            part.status, part.error = 504, part.error or "TimeoutError: too late"
        except Exception as error:  # noqa: BLE001  (a fault of ours or of the model's: 500, and the log tells)
            part.status, part.error = 500, _said(error)
        return part

    async def _challengers(self, served: Served, part: Part, until: float) -> Part:
        """Score with the challenger; whatever goes wrong there, the champion answers.

        It has half of the time that is left. What it refuses and the champion takes is its failure too.
        """
        assert served.traffic is not None
        now = time.monotonic()
        try:
            await self._score(served, part, now + (until - now) / 2)
        except Exception as error:  # noqa: BLE001  (no fault of a challenger reaches a caller)
            stand_in = Part(
                served.champion, "champion", "challenger", part.event_id, part.rows, part.positions, part.units
            )
            stand_in.error = _said(error)
            await self._champions(served, stand_in, until)
            self._fast_fail.record(served.model, served.traffic, has_failed=True)
            version, seconds = part.arm.route.version, time.monotonic() - now
            self._metrics.count(served.model, version, "challenger", status=500, rows=0, seconds=seconds)
            return stand_in
        self._fast_fail.record(served.model, served.traffic, has_failed=False)
        return part

    async def _score(self, served: Served, part: Part, until: float) -> None:
        key = served.model, part.arm.route.version
        paced = self._paced.get(key)
        if paced is None or paced.arm is not part.arm:
            paced = self._begin(served, part.arm)
        scored, part.seconds = await paced.score(part.rows, until=until)
        require_numbers(scored.predictions, len(part.rows))
        part.scored = scored

    def _begin(self, served: Served, arm: Arm) -> Paced:
        """Take in an arm, and let go of those that the model is not served by any more."""
        now = (served.champion, served.challenger)
        self._paced = {key: one for key, one in self._paced.items() if key[0] != served.model or one.arm in now}
        paced = self._paced[served.model, arm.route.version] = Paced(arm)
        return paced


class NotANumber(Exception):
    """A model that scores NaN, infinity or nothing has failed, whatever it was asked."""


def require_numbers(predictions: Sequence[Any], rows: int) -> None:
    """Let pass one finite score, or finite probabilities, for each row.

    Raises:
        NotANumber: Something else is there.
    """
    if len(predictions) != rows:
        raise NotANumber(f"{len(predictions)} scores for {rows} rows")
    for place, one in enumerate(predictions):
        numbers = one["probabilities"].values() if isinstance(one, dict) else (one,)
        if not all(map(math.isfinite, numbers)):
            raise NotANumber(f"score {one} in row {place}")


def _cut(
    arm: Arm, variant: Variant, event_id: str, rows: Sequence[Record], places: list[int], units: Sequence[bytes]
) -> Part:
    return Part(arm, variant, variant, event_id, [rows[one] for one in places], places, [units[one] for one in places])


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:LONGEST_ERROR]
