"""One pass over the staged rows: which rows break which rule, how many nulls there are, and how new the newest row is.

Sorting rows out afterwards is arithmetic on row numbers: no rule is evaluated twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.contract.findings import Broken
from mlops_assets.contract.predicates import TWIN, identity_columns
from mlops_assets.errors import MlopsError
from mlops_assets.lake.engine import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import duckdb
    import numpy as np
    import pyarrow as pa

    from mlops_assets.contract.predicates import Predicate
    from mlops_assets.contract.spec import TableSpec


class RuleDoesNotRun(MlopsError):
    """A rule of the contract cannot be evaluated."""

    def __init__(
        self,
        table: str,
        rule: str,
        sql: str,
        detail: str,
        required: str = "a DuckDB predicate over the declared columns",
    ) -> None:
        super().__init__(
            f"{table}, rule {rule} ({sql})",
            found=" ".join(detail.split()),
            required=required,
            remedy="Nothing was published. Correct the rule in the Ingestion file.",
        )


@dataclass(frozen=True)
class Scan:
    """What one pass over the staged rows found.

    Attributes:
        rows: Number of rows.
        broken: One for each row rule, in their order.
        nulls: By column with a limit, how many are null.
        newest: Greatest value of the time column, if there is one.
    """

    rows: int
    broken: tuple[Broken, ...]
    nulls: Mapping[str, int]
    newest: datetime | None


def scan(con: duckdb.DuckDBPyConnection, spec: TableSpec, rules: Sequence[Predicate], *, name: str) -> Scan:
    """Look at each row of `staged`, which is in order of key, once.

    Raises:
        RuleDoesNotRun: DuckDB cannot evaluate a rule.
    """
    import duckdb

    try:
        found = con.sql(scan_query(spec, rules)).to_arrow_table()
    except duckdb.Error as error:
        raise _culprit(con, spec, rules, name) or error from error
    total = found["total"][0].as_py()
    return Scan(
        rows=total,
        broken=tuple(Broken(rule.name, rule.severity, _numbers(found[f"broken_{n}"])) for n, rule in enumerate(rules)),
        nulls={limit.column: total - found[f"present_{n}"][0].as_py() for n, limit in enumerate(spec.null_share)},
        newest=found["newest"][0].as_py(),
    )


def scan_query(spec: TableSpec, rules: Sequence[Predicate]) -> str:
    """Return the query that reads `staged` once."""
    newest = f"max({quoted(spec.time_column)})::timestamptz" if spec.time_column else "null::timestamptz"
    outcomes = [
        "count(*) as total",
        *(f"list(__row) filter (where __broken_{n}) as broken_{n}" for n, _ in enumerate(rules)),
        *(f"count({quoted(limit.column)}) as present_{n}" for n, limit in enumerate(spec.null_share)),
        f"{newest} as newest",
    ]
    return f"select {', '.join(outcomes)} from ({_judged(spec, rules)})"


def _judged(spec: TableSpec, rules: Sequence[Predicate]) -> str:
    judged = ["*", *(f"({rule.sql}) is not true as __broken_{n}" for n, rule in enumerate(rules))]
    keys = [quoted(column) for column in identity_columns(spec)]
    twin = " and ".join(
        ["row_number() over () > 1", *(f"{key} is not distinct from lag({key}) over ()" for key in keys)]
    )
    return f"""
        select {", ".join(judged)}
        from (select *, row_number() over () - 1 as __row, {twin} as {TWIN} from staged)"""


def _culprit(
    con: duckdb.DuckDBPyConnection, spec: TableSpec, rules: Sequence[Predicate], name: str
) -> RuleDoesNotRun | None:
    import duckdb

    for rule in rules:
        try:
            con.execute(scan_query(spec, [rule]))
        except duckdb.Error as error:
            return RuleDoesNotRun(name, rule.name, rule.sql, str(error))
    return None


def _numbers(lists: pa.ChunkedArray) -> np.ndarray:
    return lists.combine_chunks().flatten().to_numpy(zero_copy_only=False)
