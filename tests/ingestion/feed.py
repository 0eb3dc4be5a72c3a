"""A source whose deliveries a test decides: `deliver` gives what each resource yields for [start, end)."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import dlt

Delivery = Callable[[str, datetime | None, datetime | None], Iterable[Any]]


def nothing(table: str, start: datetime | None, end: datetime | None) -> Iterable[Any]:
    return []


deliver: Delivery = nothing


@dlt.source(name="feed")
def shop(start: datetime, end: datetime):
    return [_resource(name, start, end) for name in ("orders", "visits")]


@dlt.source(name="whole_feed")
def whole():
    return [_resource("orders", None, None)]


def _resource(name: str, start: datetime | None, end: datetime | None):
    @dlt.resource(name=name)
    def rows() -> Iterator[Any]:
        yield from deliver(name, start, end)

    return rows
