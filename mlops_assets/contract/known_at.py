"""A raw table as it was known at a time: rows not known yet dropped, cells not known yet nulled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.contract.names import HISTORY_COLUMNS
from mlops_assets.errors import MlopsError
from mlops_assets.lake.engine import base, quoted, stand_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import duckdb

    from mlops_assets.contract.spec import KnownAtSpec, TableSpec

RECORDED_AT, REVISION, _ = HISTORY_COLUMNS


class NeverSaidWhenKnown(MlopsError):
    """A table without `known_at` was asked for its past."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Table {name}",
            found="no `known_at`",
            required="`known_at` on every table that feeds features",
            remedy="Declare in its Ingestion file when its rows become known.",
        )


class KnownAtDoesNotBind(MlopsError):
    """DuckDB cannot evaluate a `known_at` expression."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(
            f"`known_at` of table {name}",
            found=" ".join(detail.split()),
            required="DuckDB expressions over its columns that give a time",
            remedy="Correct the expression in its Ingestion file.",
        )


def effective(spec: TableSpec) -> KnownAtSpec | None:
    """Return when the cells of a table become known, corrections included; None if it never said.

    The first version of a row keeps its declared times. A correction is known when it arrived at the earliest; where a
    table keeps no versions (`upsert`), the value of `newest_by` stands for that, since nobody can say what was there before.
    """
    if spec.known_at is None or spec.publish not in ("history", "upsert"):
        return spec.known_at
    columns = {column: _corrected(expression, spec) for column, expression in spec.known_at.columns.items()}
    with_row = [*spec.known_at.known_with_row, *(HISTORY_COLUMNS if spec.publish == "history" else ())]
    row = _corrected(spec.known_at.row, spec)
    return spec.known_at.model_copy(update={"row": row, "columns": columns, "known_with_row": with_row})


def _corrected(expression: str, spec: TableSpec) -> str:
    """Return an expression that also waits for a correction; a null on either side stays null, which means never."""
    declared = f"({expression})::timestamptz"
    if spec.publish == "history":
        return f"case when {REVISION} = 0 then {declared} else {_later(declared, RECORDED_AT)} end"
    return _later(declared, f"{quoted(str(spec.newest_by))}::timestamptz")


def _later(one: str, other: str) -> str:
    # `greatest` passes over nulls, which would make known what never was.
    return f"case when {one} is not null and {other} is not null then greatest({one}, {other}) end"


def cut(
    con: duckdb.DuckDBPyConnection, name: str, columns: Sequence[str], known_at: KnownAtSpec | None, *, at: datetime
) -> None:
    """Make the attached `name` show only what was known at `at`; a later cut starts from the whole again.

    A cell is known when its `known_at` is at or before `at`; a null `known_at` means never. The cut holds on this
    connection, not on its cursors.

    Args:
        columns: Columns of the table, in order.
        at: UTC-aware.

    Raises:
        NeverSaidWhenKnown: `known_at` is None.
        KnownAtDoesNotBind: An expression does not compile, or gives no time.
    """
    import duckdb

    if known_at is None:
        raise NeverSaidWhenKnown(name)
    select = _select(name, columns, known_at, at)
    try:
        stand_in(con, name, select)
    except duckdb.Error as error:
        raise KnownAtDoesNotBind(name, str(error)) from error


def _select(name: str, columns: Sequence[str], known_at: KnownAtSpec, at: datetime) -> str:
    is_known = {column: _is_known(expression, at) for column, expression in known_at.columns.items()}
    row = _is_known(known_at.row, at)
    # Known by the latest of all times: by each of them. A null among them is never, and `and` keeps it so.
    latest = " and ".join([row, *is_known.values()])
    cells = [
        quoted(column)
        if column in known_at.known_with_row or not is_known
        else f"case when {is_known.get(column, latest)} then {quoted(column)} end as {quoted(column)}"
        for column in columns
    ]
    return f"select {', '.join(cells)} from {base(name)} where {row}"


def _is_known(expression: str, at: datetime) -> str:
    return f"(({expression})::timestamptz <= timestamptz '{at.isoformat()}')"
