"""Read JSON and plain values into typed ones, from any thread.

msgspec describes a type when it is first read, and puts the description on the type before it is complete, since a type
may contain itself. A second thread that meets it then follows a null pointer, and the process dies (msgspec 0.22.0).
So every type is described here, by one thread at a time.
"""

from threading import Lock
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")
_describing = Lock()


@overload
def decoder(of: type[T]) -> msgspec.json.Decoder[T]: ...
@overload
def decoder(of: Any) -> msgspec.json.Decoder[Any]: ...
def decoder(of: Any) -> msgspec.json.Decoder[Any]:
    """Return what reads JSON into a type; its `decode` raises `msgspec.DecodeError`.

    >>> decoder(tuple[int, ...]).decode(b"[1, 2]")
    (1, 2)
    """
    with _describing:
        return msgspec.json.Decoder(of)


def converted(value: Any, of: type[T]) -> T:
    """Return plain values, such as parsed JSON, as a type, or raise `msgspec.ValidationError`.

    >>> converted([1, 2], tuple[int, ...])
    (1, 2)
    """
    decoder(of)
    return msgspec.convert(value, of)
