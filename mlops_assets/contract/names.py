"""The words that a person may use in any definition file: names, columns, types, severities."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

RESERVED_NAMES = frozenset({"raw", "quarantine", "reconciliation", "features", "online_features"})
QUARANTINE_COLUMNS = ("failed_rules", "load_id", "window", "quarantined_at")  # what the quarantine adds to a row
HISTORY_COLUMNS = ("recorded_at", "revision", "is_deleted")  # what a table with history adds to a row
RESERVED_COLUMNS = frozenset({*QUARANTINE_COLUMNS, *HISTORY_COLUMNS})
BUILT_IN_RULES = frozenset({"unique_key", "in_window", "row_count", "freshness", "no_corrections", "schema_unchanged"})
NULL_SHARE_PREFIX, ACCEPTED_PREFIX, RANGE_PREFIX = "null_share_", "accepted_", "range_"
PREFIXES = (NULL_SHARE_PREFIX, ACCEPTED_PREFIX, RANGE_PREFIX)
CURRENT = "@current"  # of a table with history: the newest version of each row
NAME = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
COLUMN_TYPE = re.compile(
    r"(BOOLEAN|TINYINT|SMALLINT|INTEGER|BIGINT|FLOAT|DOUBLE|VARCHAR|BLOB|DATE|TIMESTAMP|TIMESTAMPTZ|DECIMAL\(\d+, ?\d+\))"
)
CRON = re.compile(r"(@(hourly|daily|weekly|monthly|yearly)|\S+( +\S+){4})")


def _not_reserved(name: str) -> str:
    if name in RESERVED_NAMES:
        raise ValueError(f"{name!r} is reserved (reserved: {', '.join(sorted(RESERVED_NAMES))}); choose another name")
    return name


def _column(name: str) -> str:
    if name in QUARANTINE_COLUMNS:
        raise ValueError(f"column {name!r} is added by the quarantine; rename it at the source")
    if name in HISTORY_COLUMNS:
        raise ValueError(f"column {name!r} is added to tables with history; rename it at the source")
    return name


def _column_type(text: str) -> str:
    if not COLUMN_TYPE.fullmatch(text.upper()):
        raise ValueError(f"type {text!r} must match {COLUMN_TYPE.pattern}")
    return text.upper()


def _rule_name(name: str) -> str:
    if name in BUILT_IN_RULES or name.startswith(PREFIXES):
        raise ValueError(f"rule {name!r} is built in (it comes with every table); choose another name")
    return name


def _cron(text: str) -> str:
    if not CRON.fullmatch(text):
        raise ValueError(f"schedule {text!r} must be five cron fields, such as '0 6 * * 1', or @daily")
    return text


Name = Annotated[str, StringConstraints(pattern=NAME), AfterValidator(_not_reserved)]
Column = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(_column)]
ColumnType = Annotated[str, AfterValidator(_column_type)]
RuleName = Annotated[str, StringConstraints(pattern=NAME), AfterValidator(_rule_name)]
Cron = Annotated[str, AfterValidator(_cron)]
ImportPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Severity = Literal["warn", "quarantine", "block"]
Verdict = Literal["warn", "block"]  # of a whole table: there is no row to set aside


def table_of(reference: str) -> str:
    """Return the table behind a reference.

    >>> table_of("shop/orders@current")
    'shop/orders'
    """
    return reference.removesuffix(CURRENT)


def is_current(reference: str) -> bool:
    """Tell whether a reference asks for the newest version of each row alone."""
    return reference.endswith(CURRENT)


class Spec(BaseModel):
    """A part of a definition file: no unknown keys, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
