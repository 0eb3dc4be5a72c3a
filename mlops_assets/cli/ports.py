"""Ports: take one, or say clearly why it cannot be had."""

import errno
import socket

from mlops_assets.errors import MlopsError


class CannotListen(MlopsError):
    """A port is in use or not allowed, or the address does not belong to this machine."""

    def __init__(self, host: str, port: int, reason: str, flag: str) -> None:
        super().__init__(
            f"listening on {host}:{port}",
            found=reason,
            required="a free port on an address of this machine",
            remedy=f"Stop what uses it, or choose another port with `{flag}`.",
        )


def listen(host: str, port: int, *, flag: str) -> socket.socket:
    """Return a listening socket.

    Args:
        flag: Option of the command line that changes the port, for the message.

    Raises:
        CannotListen: With the reason.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = "the port in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
        raise CannotListen(host, port, reason, flag) from error
    except OverflowError as error:
        raise CannotListen(host, port, str(error), flag) from error
