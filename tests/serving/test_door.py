"""A listener that closes: who was on the way in is served, who comes later is refused before sending anything."""

import errno
import select
import socket
import sys

import pytest

from mlops_assets.serving.door import shut

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")


def test_who_came_before_is_inside_and_who_comes_after_is_refused() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    place = listener.getsockname()
    with socket.create_connection(place) as early, socket.socket() as late:
        shut(listener)
        late.setblocking(False)
        assert late.connect_ex(place) == errno.EINPROGRESS
        assert not select.select([], [late], [], 0.3)[1], "not let in, nor sent away yet"

        inside, _ = listener.accept()
        early.sendall(b"ask")
        assert inside.recv(3) == b"ask"
        inside.sendall(b"answer")
        assert early.recv(6) == b"answer"

        listener.close()
        assert select.select([], [late], [], 10)[1]
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
        inside.close()
