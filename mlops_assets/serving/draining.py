"""A uvicorn server that stops without failing anybody's request (ADR 0029).

Told to stop, it goes on serving and says `Connection: close` with each reply. Once nobody is connected, or the time is up,
the way in is shut, and what is in flight ends. A second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import uvicorn

from mlops_assets.serving.door import shut
from mlops_assets.serving.patience import Patience
from mlops_assets.serving.tether import Order, Word

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from types import FrameType

    from mlops_assets.serving.tether import Tether

QUIET_SECONDS = 0.2
POLL_SECONDS = 0.02
ARRIVAL_SECONDS = 0.1
IDLE_SECONDS = 1.0
ORDER_SECONDS = 1.0
TICKS_A_SIGN = 10
CLOSE = (b"connection", b"close")


class DrainingServer(uvicorn.Server):
    """One worker's server.

    Args:
        drain_seconds: How long new connections are taken at most.
        on_drain: Called when it begins.
        tether: The way to the process that holds the listeners; None: this one does.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain_seconds: float,
        on_drain: Callable[[], None],
        tether: Tether | None = None,
    ) -> None:
        super().__init__(config)
        self._drain_seconds, self._on_drain, self._tether = drain_seconds, on_drain, tether
        self._is_ordered = self._is_shut = False
        self._patience = Patience()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Stop at the first signal, at once at the second; Ctrl-C reaches a tethered worker through its holder."""
        if sig != signal.SIGINT or self._tether is None:
            self.force_exit = self.should_exit
            self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets=sockets)
        if self._tether:
            asyncio.get_running_loop().add_reader(self._tether.fileno(), self._obey)
            self._tether.say(Word.READY)

    async def on_tick(self, counter: int) -> bool:
        """Give a sign of life each second, and send away who wastes our time, beside what uvicorn does."""
        if counter % TICKS_A_SIGN == 0:
            self._patience.look(self.server_state.connections, time.monotonic())
            if self._tether:
                self._tether.say(Word.ALIVE)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then close."""
        self._on_drain()
        self.server_state.default_headers.append(CLOSE)  # the list that replies in the making hold too
        await self._serve_on()
        await self._let_out(sockets or [])
        await super().shutdown(sockets=sockets)
        if self.force_exit:
            await self.lifespan.shutdown()

    async def _serve_on(self) -> None:
        """Go on until nobody is there, or it is time."""
        until, busy_at = time.monotonic() + self._drain_seconds, time.monotonic()
        while not (self.force_exit or self._is_shut):
            now = time.monotonic()
            if self._is_busy():
                busy_at = now
            is_over = now >= until or now - busy_at >= QUIET_SECONDS
            if not self._is_ordered and is_over:
                return
            if now >= until + ORDER_SECONDS:
                return
            if self._tether:
                self._tether.say(Word.QUIET if is_over else Word.BUSY)
            await asyncio.sleep(POLL_SECONDS)

    async def _let_out(self, sockets: Sequence[socket.socket]) -> None:
        """Take nobody in any more, and wait for those who are inside; who says nothing for a second is not waited for."""
        if self._tether is None:
            for listener in sockets:
                shut(listener)
        elif not (self._is_ordered or self._is_shut):  # the other workers go on
            for server in self.servers:
                server.close()
        arrived_by = time.monotonic() + ARRIVAL_SECONDS
        until, idle_at = time.monotonic() + (self.config.timeout_graceful_shutdown or 0), time.monotonic()
        while not self.force_exit and time.monotonic() < until:
            now = time.monotonic()
            idle_at = now if self.server_state.tasks else idle_at
            if now >= arrived_by and (not self._is_busy() or now - idle_at >= IDLE_SECONDS):
                return
            await asyncio.sleep(POLL_SECONDS)

    def _is_busy(self) -> bool:
        return bool(self.server_state.connections or self.server_state.tasks)

    def _obey(self) -> None:
        """Do what the holder says; one that is gone means that nobody holds the listeners but the workers."""
        assert self._tether is not None
        orders = self._tether.hear()
        if orders is None:
            asyncio.get_running_loop().remove_reader(self._tether.fileno())
            self._tether = None
            self._is_ordered = False
            self.should_exit = True
            return
        for order in orders:
            self.should_exit = True
            self._is_ordered = True
            self._is_shut |= order == Order.END
            self.force_exit |= order == Order.ABANDON
