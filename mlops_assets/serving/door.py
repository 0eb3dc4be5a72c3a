"""Close a listening socket without losing whoever is on the way in.

A connection is the kernel's until it is accepted: when the listener closes, those that wait are reset, though their callers
may have sent a request. So the way in is shut first, those inside are accepted, and only then the listener is closed.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from contextlib import suppress

SO_ATTACH_FILTER = 26
# Classic BPF on the TCP header: drop a segment that asks for a new connection (SYN), keep every other one.
_LOAD_FLAGS, _TEST_SYN, _DROP, _KEEP = (0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF)
_FILTER = (_LOAD_FLAGS, _TEST_SYN, _DROP, _KEEP)


def shut(listener: socket.socket) -> None:
    """Let no new connection in, in whatever process the socket is shared with; those that are on their way still come.

    A caller that comes now is refused when the listener closes, before it could send anything. Where the kernel knows no
    such filter, nothing is done.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *part) for part in _FILTER))
    with suppress(OSError):
        program = struct.pack("HP", len(_FILTER), ctypes.addressof(code))
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
