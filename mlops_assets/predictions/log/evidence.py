"""What the log says of both arms at one step of a rollout: the compacted table and the segments on this machine together.

Keep out: what it means (`rollout/judging.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.lake import tables
from mlops_assets.lake.engine import attach, attach_arrow, attach_query, connect
from mlops_assets.predictions.log.scanned import scan
from mlops_assets.predictions.log.segments import kind_folder
from mlops_assets.predictions.log.table import days_since, log_uri
from mlops_assets.rollout.evidence import ArmSample, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    import duckdb
    import numpy as np

    from mlops_assets.predictions.log.line import Variant
    from mlops_assets.predictor.signature import Task

    Vector = np.ndarray[Any, Any]

COLUMNS = "event_id, row, variant, role, assigned, unit, http_status, error, arm_us, feature_count, null_count, score, predicted_class"
# The rows of the step, each once; a failed arm has no scores of its own. What a caller did wrong (4xx) is nobody's failure.
ROWS = """
    select distinct on (event_id, row) *, regexp_replace(event_id, '-shadow$', '') as event,
           http_status >= 500 or error <> '' or (role = 'answer' and variant <> assigned) as is_failed
    from (from segments union all by name from "table") where http_status not between 400 and 499
"""
COUNTS = """
    select count(distinct event_id), count(distinct event_id) filter (is_failed),
           coalesce(sum(feature_count) filter (not is_failed), 0), coalesce(sum(null_count) filter (not is_failed), 0)
    from own
"""
UNIT = "if(unit = '', event, unit)"  # of several rows any will do
UNITS = f"select count(distinct {UNIT}) from rows where role = 'answer' and assigned = $arm"
UNIT_ERRORS = f"""
    select count(*) filter (is_failed) as errors, count(*) as requests
    from (select min({UNIT}) as unit, bool_or(is_failed) as is_failed from own group by event_id) group by unit order by all
"""
LATENCY = f"""
    select any_value(arm_us) / 1000 as ms, hash(min({UNIT})) as unit
    from own where not is_failed and arm_us > 0 group by event_id order by event_id
"""
BOTH = """
    select c.{value} as champion, n.{value} as challenger from rows c join rows n using (event, row)
    where c.variant = 'champion' and n.variant = 'challenger' and c.{value} is not null and n.{value} is not null
    order by event, row
"""


@dataclass(frozen=True)
class Outcomes:
    """What labels say of both arms, from `outcomes.sample_outcomes`.

    Attributes:
        champion: By labelled unit, the mean of the label metric, float64.
        challenger: The same of the other arm.
        labelled: Rows of the challenger that have a label.
    """

    champion: Vector
    challenger: Vector
    labelled: int


def read_sample(  # noqa: PLR0913  one question, many particulars
    capture: Path,
    *,
    model: str,
    label: str,
    task: Task,
    classes: Sequence[str] = (),
    lake: str | None = None,
    outcomes: Outcomes | None = None,
    since: datetime | None = None,
    is_shadow: bool | None = None,
) -> Sample:
    """Return what both arms did under one label of traffic.

    A challenger that answers nobody is judged by its shadow rows, and so is a champion; shadow rows never count as units.

    Args:
        capture: `<home>/capture/<env>` (`segments.log_folder`).
        label: `Traffic.label`.
        classes: Of a multiclass model, all that either version knows; a class stands for its position.
        lake: Root of the lake, for what is compacted already; None: segments alone.
        since: When the step began: what is older is not even opened.
        is_shadow: Whether the step is a shadow step; None: it is one as long as the challenger answered nothing.
    """
    import pyarrow as pa

    with connect() as con:
        # Segments before the table: what is compacted in between is seen twice, and counted once.
        attach_arrow(con, "segments", scan(kind_folder(capture, model), label, since=since))
        _attach_table(con, lake, model, label, since)
        con.execute(f"create temp table rows as {ROWS}")
        attach_arrow(con, "classes", pa.table({"name": pa.array(classes, pa.string()), "place": range(len(classes))}))
        none = _none()
        parts = outcomes or Outcomes(none, none, 0)
        return Sample(
            champion=_arm(con, "champion", parts.champion, uses_shadow=None),
            challenger=_arm(con, "challenger", parts.challenger, uses_shadow=is_shadow),
            both=_both(con, classes) if task == "multiclass" else _pairs(con, "score"),
            is_categorical=task == "multiclass",
            labelled=parts.labelled,
        )


def _attach_table(
    con: duckdb.DuckDBPyConnection, lake: str | None, model: str, label: str, since: datetime | None
) -> None:
    """Make the view `table` of the compacted rows of the step; an empty one before the first compaction."""
    if lake is None or not tables.exists(uri := log_uri(lake, model)):
        attach_query(con, "table", "from segments limit 0")
        return
    attach(con, "whole", days_since(uri, since))
    named = con.execute("describe whole").fetchall()
    columns = COLUMNS if any(row[0] == "predicted_class" for row in named) else COLUMNS.replace(", predicted_class", "")
    literal = label.replace("'", "''")
    attach_query(con, "table", f"select {columns} from whole where traffic = '{literal}'")


def _arm(con: duckdb.DuckDBPyConnection, arm: Variant, outcomes: Vector, *, uses_shadow: bool | None) -> ArmSample:
    answers, shadows = f"role = 'answer' and assigned = '{arm}'", f"role = 'shadow' and variant = '{arm}'"
    if uses_shadow is None:
        uses_shadow = not _one(con, f"select count(*) from rows where {answers}")
    con.execute(f"create or replace temp view own as from rows where {shadows if uses_shadow else answers}")
    requests, errors, features, nulls = con.execute(COUNTS).fetchall()[0]
    latency, by_unit = con.execute(LATENCY).fetchnumpy(), con.execute(UNIT_ERRORS).fetchnumpy()
    return ArmSample(
        requests=requests,
        errors=errors,
        units=_one(con, UNITS, arm=arm),
        features=int(features),
        nulls=int(nulls),
        latency_ms=latency["ms"].astype(float),
        outcomes=outcomes,
        unit_errors=(by_unit["errors"].astype(int), by_unit["requests"].astype(int)),
        latency_units=latency["unit"].astype("uint64"),
    )


def _pairs(con: duckdb.DuckDBPyConnection, value: str) -> tuple[Vector, Vector]:
    found = con.execute(BOTH.format(value=value)).fetchnumpy()
    return found["champion"].astype(float), found["challenger"].astype(float)


def _both(con: duckdb.DuckDBPyConnection, classes: Sequence[str]) -> tuple[Vector, Vector]:
    """Return the positions of the predicted classes; one that nobody named comes after all others."""
    con.execute(
        f"create or replace temp table rows as select r.*, coalesce(c.place, {len(classes)}) as position "
        "from rows r left join classes c on r.predicted_class = c.name"
    )
    return _pairs(con, "position")


def _one(con: duckdb.DuckDBPyConnection, query: str, **params: str) -> int:
    ((value,),) = con.execute(query, params).fetchall()
    return int(value)


def _none() -> Vector:
    import numpy as np

    return np.empty(0)
