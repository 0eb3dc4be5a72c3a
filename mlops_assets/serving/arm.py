"""One loaded version as a request meets it: rows in, scores and the vectors they were made of out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlops_assets.predictor.manifest import Manifest
    from mlops_assets.rollout.state import Route
    from mlops_assets.serving.body import ColumnType, Record


INLINE_ROWS = 100


class Scored(msgspec.Struct, frozen=True):
    """The scores of some rows, in order.

    Attributes:
        predictions: As they are replied (see `reply.EXAMPLES`).
        features: The vector that was scored: by feature, one value a row, null where unknown.
        features_as_of: Microseconds since the epoch, one a row: the oldest looked-up value; empty without lookup.
        defaulted: Features that got their fallback, because a lookup failed or was too slow.
    """

    predictions: list[Any]
    features: dict[str, Sequence[Any]]
    features_as_of: Sequence[int | None] = []
    defaulted: tuple[str, ...] = ()


class Arm(Protocol):
    """A version that can score. One object is shared by all requests of a worker."""

    @property
    def route(self) -> Route: ...

    @property
    def rung(self) -> str:
        """How it scores: `flat+onnx`, `xgboost` or `pipeline` (see `ladder.py`)."""
        ...

    @property
    def refused(self) -> Mapping[str, str]:
        """Why it does not use a rung above, by rung."""
        ...

    @property
    def manifest(self) -> Manifest: ...

    @property
    def columns(self) -> Mapping[str, ColumnType]:
        """Columns that it can use, for `body.read_rows`; others are ignored."""
        ...

    def score(self, rows: Sequence[Record], *, until: float) -> Scored:
        """Score rows that `body.read_rows` has read.

        Up to `INLINE_ROWS` rows take well under a millisecond each; more belong in a thread, away from the event loop.

        Args:
            until: `time.monotonic()` by which the request is answered, or too late; nothing is looked up after
                it, and what is not looked up is its fallback.

        Raises:
            Problem: A row does not fit the model; no other version would take it either.
            Exception: Anything else is the arm's own failure.
        """
        ...
