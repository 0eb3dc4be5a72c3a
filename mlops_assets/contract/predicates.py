"""The row rules of a contract as SQL predicates, built-in ones included.

Add here: kinds of rules about one row, each with its name in `checks.py`. Keep out: running them (`scan.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lake.engine import quoted

if TYPE_CHECKING:
    from mlops_assets.contract.names import Severity
    from mlops_assets.contract.rules import AcceptedValues, Range
    from mlops_assets.contract.spec import TableSpec
    from mlops_assets.lake.windows import Window

TWIN = "__twin"  # column of the scan: the row before, in order of key, has the same key


@dataclass(frozen=True)
class Predicate:
    """What must be true of a row; null counts as broken."""

    name: str
    sql: str
    severity: Severity


def identity_columns(spec: TableSpec) -> list[str]:
    """Return the columns that no two staged rows share: the key, and for an upsert also what tells the newest."""
    return [*spec.key, *([spec.newest_by] if spec.newest_by and spec.newest_by not in spec.key else [])]


def predicates(spec: TableSpec, window: Window | None) -> list[Predicate]:
    """Return the row rules of a table in the order of its checks.

    Args:
        window: Rows outside break `in_window`; None lets all times pass.
    """
    return [
        *(Predicate(rule.name, rule.sql, rule.severity) for rule in spec.rules),
        *(Predicate(rule.name, _accepted(rule), rule.severity) for rule in spec.accepted_values),
        *(Predicate(rule.name, _range(rule), rule.severity) for rule in spec.ranges),
        *_built_in(spec, window),
    ]


def literal(value: object) -> str:
    """Return a value of a definition file as SQL.

    >>> literal("it's"), literal(True), literal(1.5)
    ("'it''s'", 'true', '1.5')
    """
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower()


def _built_in(spec: TableSpec, window: Window | None) -> Iterator[Predicate]:
    if spec.time_column is not None:
        yield Predicate("in_window", _in_window(spec.time_column, window), "quarantine")
    if spec.key:
        # Read in place, a row is left out by a predicate over itself; which twin to leave out, none can say.
        yield Predicate("unique_key", f"not {TWIN}", "block" if spec.publish == "in_place" else "quarantine")


def _accepted(rule: AcceptedValues) -> str:
    values: Sequence[object] = rule.values
    return _or_null(rule.column, f"{quoted(rule.column)} in ({', '.join(map(literal, values))})")


def _range(rule: Range) -> str:
    bounds = (("<=", rule.max), (">=", rule.min))
    return _or_null(
        rule.column,
        " and ".join(f"{quoted(rule.column)} {sign} {literal(at)}" for sign, at in bounds if at is not None),
    )


def _or_null(column: str, condition: str) -> str:
    return f"{quoted(column)} is null or ({condition})"


def _in_window(column: str, window: Window | None) -> str:
    if window is None:
        return "true"
    instant = f"{quoted(column)}::timestamptz"
    return f"{instant} >= '{window.start.isoformat()}' and {instant} < '{window.end.isoformat()}'"
