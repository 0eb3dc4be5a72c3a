"""How far a source was read: cursors in the type of their column, never as text.

As text, `12:00:00.7Z` comes before `12:00:00Z`, and dlt would drop a row that it takes for an old one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_assets.contract.spec import TableSpec

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class CursorType:
    """Type of the column that a cursor reads.

    Attributes:
        declared: DuckDB type.
        format: How times are written at the source: iso, date, epoch_seconds or epoch_ms.
    """

    declared: str
    format: str = "iso"

    def parse(self, value: Any) -> Any:
        """Return a value of the source as one that compares by time or by number."""
        if value is None:
            return None
        if self.declared.startswith("TIMESTAMP"):
            return self._instant(value)
        if self.declared == "DATE":
            return value if type(value) is date else self._instant(value).date()
        return int(value) if self.declared in INTEGERS else value

    def write(self, value: Any, *, end: Any = None) -> Any:
        """Return a value as the source's parameters have it; a day that `end` cuts counts as well."""
        if type(value) is date:
            return value.isoformat()
        if not isinstance(value, datetime):
            return value
        if self.format == "iso":
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        if self.format == "date":
            return (value + timedelta(days=1, microseconds=-1) if value == end else value).date().isoformat()
        return int(value.timestamp() * (1000 if self.format == "epoch_ms" else 1))

    def _instant(self, value: Any) -> datetime:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / (1000 if self.format == "epoch_ms" else 1), UTC)
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        return at if at.tzinfo else at.replace(tzinfo=UTC)


def incremental(path: str, table: TableSpec, declared: str, *, lag_days: float = 0, initial: Any = None) -> Any:
    """Return dlt's cursor at `path`, of a column of type `declared`.

    Rows at the last value are read again, and told from those already read by their whole content, not by their key:
    a row that changed within the same second counts. A row without a cursor value is read by every load if the table
    has a key, which tells it again, and refused if not.
    """
    import dlt

    return dlt.sources.incremental(
        path,
        initial_value=initial,
        lag=_lag(declared, lag_days),
        on_cursor_value_missing="include" if table.key else "raise",
    )


def _lag(declared: str, days: float) -> float | None:
    if days == 0 or not declared.startswith(("TIMESTAMP", "DATE")):
        return None
    return days if declared == "DATE" else days * SECONDS_A_DAY
