"""A span of data time: the unit in which tables are published, scored and monitored."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Window:
    """One window of a partitioned table.

    Attributes:
        key: Name of the window, as Dagster writes its partition key.
        start: First instant, UTC-aware.
        end: First instant that no longer belongs, UTC-aware.
    """

    key: str
    start: datetime
    end: datetime
