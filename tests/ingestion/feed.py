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


@dlt.source(name="growing_feed")
def grows():
    @dlt.resource(name="orders", primary_key="order_id")
    def rows(placed_at=dlt.sources.incremental("placed_at")) -> Iterator[Any]:  # noqa: B008  as dlt is written
        yield from deliver("orders", placed_at.last_value, None)

    return rows


@dlt.source(name="detailed_feed")
def detailed():
    """Return a table that another resource feeds, which has the cursor."""
    return _list() | dlt.transformer(lambda item: item, name="orders")


@dlt.source(name="twin_feed")
def twins():
    listed = _list()
    return [listed | dlt.transformer(lambda item: item, name=name) for name in ("left", "right")]


def _list():
    @dlt.resource(name="list", selected=False)
    def rows(placed_at=dlt.sources.incremental("placed_at")) -> Iterator[Any]:  # noqa: B008  as dlt is written
        yield from deliver("list", placed_at.last_value, None)

    return rows
