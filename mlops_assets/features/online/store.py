"""Where online rows live: the protocol that sqlite, Redis and DynamoDB keep, and what a store says about a view.

A write replaces what readers see in one step, and names the revision of the view that it was decided on: who comes second
decides again. A rebuild writes beside the rows in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.errors import MlopsError
from mlops_assets.features.online.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

STATE_VERSION = 1
ABSENT = 0
Item = TypeVar("Item")
Result = TypeVar("Result")


class NotOnline(MlopsError):
    """A view was asked for that the store does not hold."""

    def __init__(self, view: str) -> None:
        self.view = view
        super().__init__(
            f"online_features/{view}",
            found="nothing in the online store",
            required="a materialised view",
            remedy=f"Set `online: true` in the view's file and materialise `online_features/{view}`.",
        )


class OnlineConflict(MlopsError):
    """Somebody else changed the view first; it was left as they made it."""

    def __init__(self, view: str, *, found: int | None, required: int) -> None:
        super().__init__(
            f"online_features/{view}",
            found="another revision" if found is None else f"revision {found}",
            required=f"revision {required}, which the write was decided on",
            remedy="Nothing readers see was changed. Materialise it again.",
        )


class UnreadableOnlineState(MlopsError):
    """The store was written by another release, or by hand."""

    def __init__(self, view: str, detail: str) -> None:
        self.view = view
        super().__init__(
            f"online_features/{view}",
            found=detail,
            required=f"a state of version {STATE_VERSION}",
            remedy="Run the release that wrote it, or remove the view from the store and materialise it again.",
        )


class UnsettledRead(MlopsError):
    """The view was replaced again and again while it was read."""

    def __init__(self, views: Sequence[str]) -> None:
        super().__init__(
            f"online_features/{', '.join(views)}",
            found="another revision at every attempt to read",
            required="one revision for the length of a read",
            remedy="Materialise less often than the store can be read.",
        )


class StoredView(msgspec.Struct, frozen=True):
    """What a store says about a view.

    Attributes:
        revision: Counts every change; a write names the one that it saw.
        generation: Where the rows in use are, for stores that rebuild beside them.
        source_version: Delta version of `features/<view>` that the rows come from.
        as_of_us: Time of the materialisation: rows usable by then are held.
        forgotten: Digest of the tombstones that it kept to.
        is_complete: False while a write that is not one step goes on, or after it broke off.
    """

    schema: Schema
    revision: int
    source_version: int
    as_of_us: int
    forgotten: str
    generation: int = 0
    is_complete: bool = True
    state_version: int = STATE_VERSION


@dataclass(frozen=True)
class Changes:
    """What a materialisation writes.

    Attributes:
        rows: Key and packed row, each key once.
        gone: Keys to remove; none if `is_rebuild`.
        stored: What to say about the view from then on.
        is_rebuild: `rows` are all there are.
    """

    rows: Sequence[tuple[bytes, bytes]]
    gone: Sequence[bytes]
    stored: StoredView
    is_rebuild: bool


class OnlineStore(Protocol):
    """Packed rows by view and key."""

    def stored(self, view: str) -> StoredView | None:
        """Return what the store says about a view, or None."""
        ...

    def read(self, wanted: Sequence[tuple[str, Sequence[bytes]]]) -> list[tuple[StoredView, list[bytes | None]]]:
        """Return, for each view and its keys, the view's state and the rows that were held under it, None where absent.

        Raises:
            NotOnline: The store does not hold a view.
        """
        ...

    def write(self, view: str, changes: Changes, *, expected: int) -> None:
        """Make the changes visible in one step, if the view is still at revision `expected` (0: absent).

        Raises:
            OnlineConflict: It is at another revision; readers see what they saw before.
        """
        ...

    def delete(self, view: str, keys: Sequence[bytes]) -> None:
        """Remove rows, also from what broken writes left behind; every write that is under way then fails.

        A view that the store does not hold is left alone.
        """
        ...


def until_first(attempt: Callable[[], Result], attempts: int) -> Result:
    """Decide and write again while others are first.

    Raises:
        OnlineConflict: They were every time.
    """
    for _ in range(attempts - 1):
        try:
            return attempt()
        except OnlineConflict:
            continue
    return attempt()


def in_parts(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of up to `size` items.

    >>> list(in_parts("abc", 2))
    [['a', 'b'], ['c']]
    """
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def encode_state(stored: StoredView) -> bytes:
    """Return a state as JSON, readable where it is kept."""
    return msgspec.json.encode(stored)


def decode_state(view: str, data: bytes) -> StoredView:
    """Return the state that `encode_state` wrote.

    Raises:
        UnreadableOnlineState: It was written by another release, or by hand.
    """
    try:
        stored = decoder(StoredView).decode(data)
    except msgspec.DecodeError as error:
        raise UnreadableOnlineState(view, f"{len(data)} bytes that are no state ({error})") from error
    if stored.state_version != STATE_VERSION:
        raise UnreadableOnlineState(view, f"a state of version {stored.state_version}")
    return stored


def changed(stored: StoredView, **fields: Any) -> StoredView:
    """Return a state with other fields."""
    return msgspec.structs.replace(stored, **fields)


def require_revision(view: str, stored: StoredView | None, expected: int) -> None:
    """Refuse another revision than `expected`.

    Raises:
        OnlineConflict: It is another one.
    """
    found = stored.revision if stored else ABSENT
    if found != expected:
        raise OnlineConflict(view, found=found, required=expected)
