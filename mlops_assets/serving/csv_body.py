"""CSV bodies: a header line, then one row a line; a cell that is empty is null."""

from __future__ import annotations

import csv
import io
from itertools import islice
from typing import TYPE_CHECKING

from mlops_assets.serving.body import LARGEST, LARGEST_NUMBER, require_known, require_once
from mlops_assets.serving.http_problems import TooManyRows
from mlops_assets.serving.problems import NotCsv, WrongShape, WrongValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlops_assets.serving.body import Cell, ColumnType, Record

    Reader = tuple[Callable[[str], Cell], str]

TRUTH = {"true": True, "false": False}
LONGEST_WHOLE = 30  # digits of the largest number that a body may have


def read_csv(data: bytes, columns: Mapping[str, ColumnType] | None, *, most: int | None = None) -> list[Record]:
    """Return the rows of a CSV body, its cells typed as the model's columns are.

    Args:
        most: Rows, beyond which nothing is read; None: all of them.

    Raises:
        TooManyRows: There are more.
        NotCsv: It is not UTF-8, or a quoted cell does not end.
        WrongShape: It has no header, a column is there twice, or a line has another number of cells.
        UnknownColumn: A column is none that the model knows.
        WrongValue: A cell is no number where one is required.
    """
    lines = _lines(data)
    _, header = next(lines, (1, []))
    if not header:
        raise WrongShape("no line", field="line 1", required="a header that names the columns")
    require_once(header, field="line 1")
    if columns is not None:
        require_known(header, columns)
    typed = columns or {}
    readers = [(name, *_READERS[typed.get(name, "categorical")]) for name in header]
    rows = [_row(readers, cells, line) for line, cells in islice(lines, most)]
    if most is not None and next(lines, None) is not None:
        raise TooManyRows(most + 1, most)
    return rows


def _lines(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line that is not empty, and its cells."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotCsv(f"byte {error.start} is no UTF-8", field="body") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise NotCsv(str(error), field=f"line {reader.line_num}") from error


def _row(readers: list[tuple[str, Callable[[str], Cell], str]], cells: list[str], line: int) -> Record:
    if len(cells) != len(readers):
        raise WrongShape(f"{len(cells)} cells", field=f"line {line}", required=f"{len(readers)}, one per column")
    row: Record = {}
    for (name, read, required), cell in zip(readers, cells, strict=True):
        try:
            row[name] = read(cell) if cell else None
        except ValueError as error:
            raise WrongValue(name, found=f"{cell!r} in line {line}", required=required) from error
    return row


def _read_text(cell: str) -> str:
    return cell


def _read_integer(cell: str) -> int:
    number = int(_plain(cell))
    if not -LARGEST < number < LARGEST:
        raise ValueError(cell)
    return number


def _read_number(cell: str) -> int | float | bool:
    if cell.lower() in TRUTH:
        return TRUTH[cell.lower()]
    number = float(_plain(cell))
    if not -LARGEST_NUMBER <= number <= LARGEST_NUMBER:
        raise ValueError(cell)
    return int(number) if number.is_integer() else number


def _read_any(cell: str) -> int | float | str:
    """Read a whole number as JSON would have it, so that the unit of a request is the same in both; else text."""
    is_whole = cell.isascii() and cell.isdigit() and (cell == "0" or cell[0] != "0")
    if not is_whole or len(cell) > LONGEST_WHOLE:
        return cell
    number = int(cell)
    return number if number < LARGEST else float(number)


def _plain(cell: str) -> str:
    """Refuse what Python reads as a number and nobody else does."""
    if "_" in cell or not cell.isascii():
        raise ValueError(cell)
    return cell


_READERS: dict[ColumnType, Reader] = {
    "numeric": (_read_number, f"true, false, nothing, or a number within {LARGEST_NUMBER:g} of 0"),
    "integer": (_read_integer, "a whole number of 64 bits, or nothing"),
    "categorical": (_read_text, "text"),
    "any": (_read_any, "text"),
}
