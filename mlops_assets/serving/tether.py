"""What holder and worker say to each other: one byte each, over a socket that tells when the other one is gone."""

from __future__ import annotations

from contextlib import suppress
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

MOST_BYTES = 1024


class Word(IntEnum):
    """What a worker says."""

    READY = ord("r")
    ALIVE = ord(".")
    BUSY = ord("b")
    QUIET = ord("q")


class Order(IntEnum):
    """What the holder says: serve on and say goodbye; the way in is shut; stop at once."""

    DRAIN = ord("d")
    END = ord("e")
    ABANDON = ord("a")


class Tether:
    """One end; neither side ever waits for the other."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end, self._last = end, b""

    def fileno(self) -> int:
        return self._end.fileno()

    def say(self, word: Word | Order) -> None:
        """Say it; what was just said is not repeated, but for signs of life."""
        said = bytes([word])
        if said != self._last or word == Word.ALIVE:
            self._last = said
            with suppress(OSError):  # the other one is gone, or has not listened for a long time
                self._end.send(said)

    def hear(self) -> bytes | None:
        """Return what was said; None: the other one is gone."""
        try:
            return self._end.recv(MOST_BYTES) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def close(self) -> None:
        """Let go."""
        self._end.close()
