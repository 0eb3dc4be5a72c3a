"""Which arm a unit falls to: sticky, nested, the same in every process and every language."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

Cell = str | int | float | bool | None
BUCKETS = 10_000
LONGEST_KEY = 64
_encode = msgspec.json.Encoder().encode


def unit_of(values: Sequence[Cell]) -> bytes:
    """Return the bytes that name a unit: a JSON list, in which 7.0 is 7.

    >>> unit_of([7.0, "N123"])
    b'[7,"N123"]'
    """
    return _encode([int(one) if isinstance(one, float) and one.is_integer() else one for one in values])


def hash_of(unit: bytes, salt: str) -> bytes:
    """Return the 8 bytes of a unit's keyed BLAKE2b; the prediction log names the unit by them.

    The key is the salt, or its BLAKE2b where it is longer than the 64 bytes that a key may have.

    >>> hash_of(b"[7]", "delay-13-1").hex()
    '3167274a2b06cb5a'
    """
    key = salt.encode()
    return blake2b(unit, digest_size=8, key=key if len(key) <= LONGEST_KEY else blake2b(key).digest()).digest()


def bucket_of(hashed: bytes) -> int:
    """Return the bucket of a unit's hash: big-endian, modulo 10,000."""
    return int.from_bytes(hashed, "big") % BUCKETS


def bucket(unit: bytes, salt: str) -> int:
    """Return the bucket of a unit.

    >>> bucket(b"[7]", "delay-13-1") == bucket(b"[7]", "delay-13-1")
    True
    """
    return bucket_of(hash_of(unit, salt))


def is_challengers(unit: bytes, salt: str, share: float) -> bool:
    """Tell whether a unit falls to the challenger; whoever does at one share does at every larger one."""
    return bucket(unit, salt) < threshold(share)


def threshold(share: float) -> int:
    """Return the bucket below which units fall to the challenger."""
    return round(share * BUCKETS)
