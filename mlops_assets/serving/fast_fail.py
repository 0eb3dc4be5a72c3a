"""A challenger that fails too often is taken out: by this worker at once, by all of them through the routing.

Keep out: what counts as a failure (`arms.py`), the change of the routing (`rollout/fall_back.py`).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from mlops_assets.rollout.errors import NotRouted
from mlops_assets.rollout.fall_back import fall_back, owner_of

if TYPE_CHECKING:
    from mlops_assets.clock import Clock
    from mlops_assets.lake.state import StateStore
    from mlops_assets.rollout.state import Traffic

RETRY_SECONDS = 0.5
log = logging.getLogger(__name__)


class FastFail:
    """The newest requests of each challenger, and which challengers are out.

    Made and used in the event loop of a worker; what it decides is written by a thread of its own.
    """

    def __init__(self, state: StateStore, clock: Clock) -> None:
        self._state, self._clock = state, clock
        self._newest: dict[str, deque[bool]] = {}
        self._out: set[str] = set()
        self._stopping = threading.Event()

    def is_out(self, traffic: Traffic) -> bool:
        """Tell whether the champion answers in this challenger's place, whatever the routing says."""
        return bool(self._out) and owner_of(traffic.label) in self._out

    def record(self, model: str, traffic: Traffic, *, has_failed: bool) -> None:
        """Note what became of one request of the challenger; one failure too many takes it out."""
        owner = owner_of(traffic.label)
        if traffic.fast_fail is None or owner in self._out:
            return
        share, among = traffic.fast_fail
        newest = self._newest.get(owner)
        if newest is None:
            newest = self._newest[owner] = deque(maxlen=among)
        newest.append(has_failed)
        if has_failed and (failures := sum(newest)) > share * among:
            why = f"{failures} of the newest {len(newest)} requests failed; at most {share:.0%} of {among} may"
            self._take_out(model, traffic, why)

    def close(self) -> None:
        """Stop trying to write the routing."""
        self._stopping.set()

    def _take_out(self, model: str, traffic: Traffic, why: str) -> None:
        self._out.add(owner_of(traffic.label))
        del self._newest[owner_of(traffic.label)]
        log.error("%s: version %s is taken out: %s", model, traffic.route.version, why)
        threading.Thread(target=self._write, args=(model, traffic, why), name="fast-fail", daemon=True).start()

    def _write(self, model: str, traffic: Traffic, why: str) -> None:
        """Write the routing; a store that is away is tried again while the worker holds the challenger out."""
        said = ""
        while not self._stopping.is_set():
            try:
                fall_back(self._state, model, traffic.label, why=why, now=self._clock.now())
            except NotRouted:
                return
            except Exception as error:  # noqa: BLE001  (whatever the store's trouble is, it may pass)
                if str(error) != said:
                    log.warning("%s: the routing cannot be written, trying again: %s", model, error)
                said = str(error)
                self._stopping.wait(RETRY_SECONDS)
            else:
                return
