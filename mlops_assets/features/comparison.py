"""Two tables compared value by value: matched by key, counted by column.

Numbers are the same within a relative 1e-9. A null equals a null only, and NaN equals NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lake.engine import attach_arrow, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb
    import pyarrow as pa

RELATIVE_TOLERANCE = 1e-9
ROW = "(row)"


@dataclass(frozen=True)
class Difference:
    """How one column of a table differs from what was expected.

    Attributes:
        column: Its name; `(row)` for rows that were not expected at all.
        rows: Rows that differ.
        nulls: Those of them where one side alone is null.
        largest_error: Largest difference of a number; None for text, nulls and missing rows.
        found: The value of one such row.
        expected: What was expected instead.
        key: Which row that is.
    """

    column: str
    rows: int
    nulls: int
    largest_error: float | None
    found: object
    expected: object
    key: Mapping[str, object]


def compare(
    con: duckdb.DuckDBPyConnection, found: pa.Table, expected: pa.Table, *, keys: Sequence[str], names: Sequence[str]
) -> list[Difference]:
    """Return how the rows of `found` differ from those of `expected` with the same keys, a null key equal to a null key."""
    _pair(con, found, expected, keys, names)
    compared = [_absent(con, keys), *(_differing(con, name, _is_same(found, expected, name), keys) for name in names)]
    return [one for one in compared if one.rows]


def _pair(
    con: duckdb.DuckDBPyConnection, found: pa.Table, expected: pa.Table, keys: Sequence[str], names: Sequence[str]
) -> None:
    columns = list(dict.fromkeys([*keys, *names]))
    attach_arrow(con, "found rows", found.select(columns))
    attach_arrow(con, "expected rows", expected.select(columns))
    by = ", ".join(map(quoted, keys))
    same = " and ".join(f"f.{quoted(key)} is not distinct from e.{quoted(key)}" for key in keys)
    own = ", ".join(f"f.{quoted(key)} as {_key(key)}" for key in keys)
    values = "".join(f", f.{quoted(n)} as {_found(n)}, e.{quoted(n)} as {_expected(n)}" for n in names)
    con.execute(f"""
        create or replace temp table pairs as
        select {own}, coalesce(e."is there", false) as "is there" {values} from "found rows" f
        left join (select distinct on ({by}) *, true as "is there" from "expected rows") e on {same}
    """)


def _absent(con: duckdb.DuckDBPyConnection, keys: Sequence[str]) -> Difference:
    ((rows, key),) = con.execute(
        f'select count(*), first({_keys(keys)} order by {_keys(keys)}) from pairs where not "is there"'
    ).fetchall()
    return Difference(ROW, rows, 0, None, None, None, key or {})


def _differing(con: duckdb.DuckDBPyConnection, name: str, is_same: str, keys: Sequence[str]) -> Difference:
    one, other = _found(name), _expected(name)
    error = f"abs({one}::double - {other}::double)" if "abs" in is_same else "null::double"
    ((rows, nulls, largest, found, expected, key),) = con.execute(f"""
        select count(*), count(*) filter (({one} is null) != ({other} is null)), max({error}) filter (isfinite({error})),
               first({one} order by {_keys(keys)}), first({other} order by {_keys(keys)}),
               first({_keys(keys)} order by {_keys(keys)})
        from pairs where "is there" and not ({is_same})
    """).fetchall()
    return Difference(name, rows, nulls, largest, found, expected, key or {})


def _is_same(found: pa.Table, expected: pa.Table, name: str) -> str:
    """Return the predicate on two values; numbers of one whole type, and what is no number, are compared exactly."""
    one, other = _found(name), _expected(name)
    kinds = found[name].type, expected[name].type
    if all(map(_is_number, kinds)) and (kinds[0] != kinds[1] or _is_floating(kinds[0])):
        one, other = f"{one}::double", f"{other}::double"
        error = f"abs({one} - {other})"
        near = f"isfinite({error}) and {error} <= {RELATIVE_TOLERANCE} * greatest(abs({one}), abs({other}))"
        return f"{one} is not distinct from {other} or coalesce({near}, false)"
    text = "" if kinds[0] == kinds[1] else "::varchar"
    return f"{one}{text} is not distinct from {other}{text}"


def _is_floating(kind: pa.DataType) -> bool:
    from pyarrow import types

    return types.is_floating(kind)


def _is_number(kind: pa.DataType) -> bool:
    from pyarrow import types

    return types.is_floating(kind) or types.is_integer(kind) or types.is_decimal(kind)


def _keys(keys: Sequence[str]) -> str:
    parts = ", ".join(f"{quoted(key)}: {_key(key)}" for key in keys)
    return f"{{{parts}}}"


def _key(name: str) -> str:
    return quoted(f"key {name}")


def _found(name: str) -> str:
    return quoted(f"found {name}")


def _expected(name: str) -> str:
    return quoted(f"expected {name}")
