"""Where the lake holds somebody's rows: tables with their past, training sets, and examples of broken rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mlops_assets.contract.pointers import FOLDER, pointer_numbers, read_pointer
from mlops_assets.contract.verdict import BY_LOAD, BY_WINDOW
from mlops_assets.features.training_set import DATA
from mlops_assets.lake.delta import UnhandledFeature
from mlops_assets.lake.erasure import find_delta, held_rows, rows_in
from mlops_assets.lake.files import list_files, read_bytes
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    Who = Mapping[str, str]

Kind = Literal["table", "training set", "examples", "segments", "feedback", "not ours", "left alone"]
THEIRS: tuple[Kind, ...] = ("table", "training set", "examples", "segments", "feedback")


@dataclass(frozen=True)
class Trace:
    """One place.

    Attributes:
        place: Below the root of the lake; of segments a folder of this machine.
        rows: Rows, or examples, that are theirs now.
        files: Files that hold such rows, of any version.
        note: Why nothing is done about it, if nothing is.
    """

    kind: Kind
    place: str
    rows: int = 0
    files: int = 0
    note: str = ""

    @property
    def is_theirs(self) -> bool:
        """Tell whether something of them is there that can be taken out."""
        return self.kind in THEIRS and bool(self.rows or self.files)


class Elsewhere(Protocol):
    """A further place that holds rows as they came, and knows how to take somebody out."""

    def find(self, who: Who) -> list[Trace]:
        """Return what is theirs."""
        ...

    def erase(self, who: Who, *, now: datetime) -> None:
        """Take it out. It comes before the tables, which may lead to it."""
        ...


def find_traces(lake: str, who: Who) -> list[Trace]:
    """Search a lake; places that have all the columns and no row of theirs are in the list too, with 0 rows."""
    return [*_in_tables(lake, who), *_in_training_sets(lake, who), *_in_examples(lake, who), *_elsewhere(lake, who)]


def _in_tables(lake: str, who: Who) -> Iterator[Trace]:
    for uri in find_delta(lake):
        name = uri.removeprefix(join(lake, ""))
        try:
            held = held_rows(uri, who)
        except UnhandledFeature as error:
            yield Trace("left alone", name, note=str(error))
            continue
        if held is not None:
            yield Trace("table", name, held.rows, len(held.files))


def _in_training_sets(lake: str, who: Who) -> Iterator[Trace]:
    for file in list_files(join(lake, "training_sets")):
        if file.endswith(f"/{DATA}") and (rows := rows_in(file, file, who)):
            yield Trace("training set", file.removeprefix(join(lake, "")).removesuffix(f"/{DATA}"), rows, 1)


def _in_examples(lake: str, who: Who) -> Iterator[Trace]:
    for folder in (BY_WINDOW, BY_LOAD):
        for file in list_files(join(lake, folder)):
            before = json.loads(read_bytes(file))
            if removed := count_rows(before, who):
                yield Trace("examples", file.removeprefix(join(lake, "")), removed, 1)


def _elsewhere(lake: str, who: Who) -> Iterator[Trace]:
    """Yield tables that are read in place: their owner forgets, or nobody does."""
    marker = f"/{FOLDER}/"
    places = {file.partition(marker)[0] for file in list_files(join(lake, "raw")) if marker in file}
    for place in sorted(places):
        reference = place.removeprefix(join(lake, "raw", ""))
        pointer = read_pointer(lake, reference, pointer_numbers(lake, reference)[-1])
        if set(who) <= set(pointer.columns):
            yield Trace("not ours", f"raw/{reference}", note=f"read in place from {pointer.uri}")


def count_rows(value: Any, who: Who) -> int:
    """Count the objects in a JSON value that are rows of somebody."""
    if isinstance(value, list):
        return sum(count_rows(one, who) for one in value)
    if not isinstance(value, dict):
        return 0
    return int(is_row_of(value, who)) + sum(count_rows(one, who) for one in value.values())


def without_rows(value: Any, who: Who) -> Any:
    """Return a JSON value without the rows of somebody.

    >>> without_rows({"sample": [{"id": 7, "n": 1}, {"id": 8, "n": 2}]}, {"id": "7"})
    {'sample': [{'id': 8, 'n': 2}]}
    """
    if isinstance(value, list):
        return [without_rows(one, who) for one in value if not (isinstance(one, dict) and is_row_of(one, who))]
    if isinstance(value, dict):
        return {name: without_rows(one, who) for name, one in value.items()}
    return value


def is_row_of(row: Mapping[str, Any], who: Who) -> bool:
    """Tell whether an object has all the columns, with these values as text."""
    return all(column in row and str(row[column]) == value for column, value in who.items())
