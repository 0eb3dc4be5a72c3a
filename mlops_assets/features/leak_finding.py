"""How the rows of a training set differ from what was known: matched by key, compared by column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lake.engine import attach_arrow, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import duckdb
    import pyarrow as pa

RELATIVE_TOLERANCE = 1e-9
SPINE_ROW = "the row of the spine"


@dataclass(frozen=True)
class LeakFinding:
    """A feature whose value in the training set could not have been known.

    Attributes:
        feature: Its name, or `the row of the spine` when the prediction itself could not have been asked for.
        rows: Rows that differ.
        largest_error: Largest difference of a number; None for text, nulls and missing rows.
        example: One such row: when, what stands in the training set, what could have been known.
    """

    feature: str
    rows: int
    largest_error: float | None
    example: str

    def __str__(self) -> str:
        error = "" if self.largest_error is None else f", by up to {self.largest_error:.4g}"
        return f"{self.feature}: {self.rows} rows hold what was not known at prediction time{error} ({self.example})"


def differences(
    con: duckdb.DuckDBPyConnection,
    wanted: pa.Table,
    known: pa.Table,
    *,
    keys: Sequence[str],
    names: Sequence[str],
    at: datetime,
) -> list[LeakFinding]:
    """Return how the rows of one prediction time differ from those with the same keys among what was known.

    Numbers are the same within a relative 1e-9. A null equals a null only, and NaN equals NaN.
    """
    _pair(con, wanted, known, keys, names)
    when = f"at {at.isoformat()}"
    found = [_absent(con, when), *(_differing(con, name, _is_same(wanted, known, name), when) for name in names)]
    return [finding for finding in found if finding.rows]


def summarise(findings: Sequence[LeakFinding]) -> tuple[LeakFinding, ...]:
    """Return one finding for each feature, with its first example."""
    features = dict.fromkeys(one.feature for one in findings)
    return tuple(_merged([one for one in findings if one.feature == feature]) for feature in features)


def _merged(findings: Sequence[LeakFinding]) -> LeakFinding:
    errors = [one.largest_error for one in findings if one.largest_error is not None]
    rows = sum(one.rows for one in findings)
    return LeakFinding(findings[0].feature, rows, max(errors, default=None), findings[0].example)


def _pair(
    con: duckdb.DuckDBPyConnection, wanted: pa.Table, known: pa.Table, keys: Sequence[str], names: Sequence[str]
) -> None:
    """Put each wanted row beside the known one with its keys, a null key equal to a null key."""
    columns = list(dict.fromkeys([*keys, *names]))
    attach_arrow(con, "wanted rows", wanted.select(columns))
    attach_arrow(con, "known rows", known.select(columns))
    by = ", ".join(map(quoted, keys))
    same = " and ".join(f"w.{quoted(key)} is not distinct from k.{quoted(key)}" for key in keys)
    values = "".join(f", w.{quoted(n)} as {_wanted(n)}, k.{quoted(n)} as {_known(n)}" for n in names)
    con.execute(f"""
        create or replace temp table pairs as
        select coalesce(k."is there", false) as "is there" {values} from "wanted rows" w
        left join (select distinct on ({by}) *, true as "is there" from "known rows") k on {same}
    """)


def _absent(con: duckdb.DuckDBPyConnection, when: str) -> LeakFinding:
    ((rows,),) = con.execute('select count(*) from pairs where not "is there"').fetchall()
    return LeakFinding(SPINE_ROW, rows, None, f"{when}: not there yet")


def _differing(con: duckdb.DuckDBPyConnection, name: str, is_same: str, when: str) -> LeakFinding:
    one, other = _wanted(name), _known(name)
    error = f"abs({one} - {other})" if "abs" in is_same else "null"
    ((rows, largest, stands, was),) = con.execute(f"""
        select count(*), max({error}) filter (isfinite({error}::double)), first({one}), first({other})
        from pairs where "is there" and not ({is_same})
    """).fetchall()
    return LeakFinding(name, rows, largest, f"{when}: {stands!r} in the training set, {was!r} was known")


def _is_same(wanted: pa.Table, known: pa.Table, name: str) -> str:
    from pyarrow import types

    one, other = _wanted(name), _known(name)
    kinds = wanted[name].type, known[name].type
    if all(map(types.is_floating, kinds)):
        error = f"abs({one} - {other})"
        near = f"isfinite({error}) and {error} <= {RELATIVE_TOLERANCE} * greatest(abs({one}), abs({other}))"
        return f"{one} is not distinct from {other} or coalesce({near}, false)"
    text = "" if kinds[0] == kinds[1] else "::varchar"
    return f"{one}{text} is not distinct from {other}{text}"


def _wanted(name: str) -> str:
    return quoted(f"wanted {name}")


def _known(name: str) -> str:
    return quoted(f"known {name}")
