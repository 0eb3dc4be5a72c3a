"""What the newest day of a log looks like, version by version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lake.engine import attach, connect
from mlops_assets.lake.tables import snapshot
from mlops_assets.predictions.log.table import log_uri, newest_day

if TYPE_CHECKING:
    from datetime import datetime

BY_VERSION = """
    select model_version, variant, role, count(*), count(distinct event_id), count(*) filter (http_status >= 500 or error <> ''),
           quantile_cont(latency_us, 0.99) / 1000, coalesce(quantile_cont(nullif(arm_us, 0), 0.99), 0) / 1000
    from log group by all order by all
"""
WHOLE = """
    select max(prediction_time), avg((http_status >= 500 or error <> '')::int) filter (role = 'answer'),
           quantile_cont(latency_us, 0.99) filter (role = 'answer') / 1000
    from log
"""


@dataclass(frozen=True)
class Part:
    """What one version did on the day."""

    version: int
    variant: str
    role: str
    rows: int
    requests: int
    failures: int
    p99_ms: float
    arm_p99_ms: float


@dataclass(frozen=True)
class Summary:
    """A log, and its newest day.

    Attributes:
        rows: Of the whole table.
        newest: When the newest request came.
        error_share: Of the day's rows, answers alone.
        p99_ms: Of the day's answers, from the first byte to the reply.
    """

    day: str
    rows: int
    newest: datetime
    error_share: float | None
    p99_ms: float | None
    parts: tuple[Part, ...]


def summarise(lake: str, model: str, *, now: datetime) -> Summary | None:
    """Return what the newest day looks like; None of a log without rows."""
    found = newest_day(log_uri(lake, model), now)
    if found is None:
        return None
    name, day = found
    with connect() as con:
        attach(con, "log", snapshot(day.uri, day.version))
        ((rows,),) = con.execute("select count(*) from log").fetchall()
        attach(con, "log", day)
        newest, error_share, p99_ms = con.execute(WHOLE).fetchall()[0]
        parts = tuple(Part(*row) for row in con.execute(BY_VERSION).fetchall())
    return Summary(name, rows, newest, error_share, p99_ms, parts)
