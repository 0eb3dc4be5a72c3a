"""The labels that have come since for what was answered: from the spine, and from feedback."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from mlops_assets.lake.engine import attach, attach_arrow, attach_query, columns_of, connect, quoted
from mlops_assets.lake.tables import exists
from mlops_assets.predictions.labels import join_labels
from mlops_assets.predictions.log.columns import column_of
from mlops_assets.predictions.log.feedback import attach_feedback
from mlops_assets.predictions.log.rows import own_schema
from mlops_assets.predictions.log.table import days_since, log_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.predictor.signature import Task

    SpineOf = Callable[[datetime, datetime], pa.Table]

COLUMNS = (
    *("event_id", "row", "inference_id", "prediction_time", "model_version", "variant", "assigned", "traffic", "unit"),
    *("score", "predicted_class", "probabilities"),
)
ANSWERED = """
    select * from (select {columns} from log
    where role = 'answer' and score is not null and ($traffic is null or traffic = $traffic)
        and ($since is null or prediction_time >= $since) and ($until is null or prediction_time < $until)
    {limit}) order by prediction_time, event_id, row
"""
# A label that came too late is told, but takes no earlier one back.
LABELLED = """
    with named as (
             select event_id as name, event_id, row, prediction_time + $timeout as until from labelled
             union select inference_id, event_id, row, prediction_time + $timeout from labelled where inference_id is not null
         ),
         sent as (
             select n.event_id, n.row, arg_max(value, (known_at, received_at)) as value, max(known_at) as known_at,
                    arg_max(value, (known_at, received_at)) filter (known_at <= until) as counted,
                    max(known_at) filter (known_at <= until) as counted_at
             from named n join (select *, {value} as value from feedback) f on f.event_id = n.name and f.row = n.row
             where value is not null group by all
         )
    select l.* exclude (label, label_known_at, status), coalesce(l.label, s.counted) as label,
           if(l.label is null, s.counted_at, l.label_known_at) as label_known_at,
           if(l.label is null and s.counted is not null, 'labelled', l.status) as status,
           s.value as feedback, s.known_at as feedback_at
    from labelled l left join sent s on s.event_id = l.event_id and s.row = l.row
    order by l.prediction_time, l.event_id, l.row
"""
NUMBER = "coalesce(try_cast(label as double), try_cast(try_cast(label as boolean) as double))"
FINITE = f"if(isfinite({NUMBER}), {NUMBER}, null)"  # a label may be any text: `nan` is none


@dataclass(frozen=True)
class LabelRules:
    """How the labels of a model come.

    Attributes:
        task: A label of `multiclass` is the name of a class, else a number.
        timeout: A label that comes later after its prediction does not count.
        keys: Of the spine; a request that carried all of them has the label of that row.
        spine: Returns the rows of the spine that were predicted between two times; None: feedback alone.
    """

    task: Task
    timeout: timedelta
    keys: Sequence[str] = ()
    spine: SpineOf | None = None


def labelled_log(  # noqa: PLR0913  one question, many particulars
    lake: str,
    model: str,
    rules: LabelRules,
    *,
    now: datetime,
    traffic: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    columns: Sequence[str] = (),
    at_most: int | None = None,
) -> pa.Table:
    """Return the answered rows of the compacted log with what is known of them at `now`, in order of time.

    `label`, `label_known_at` and `status` (labelled, pending, censored) are those of `predictions.labels.join_labels`; where
    the spine has no label, feedback counts by the same rules. `feedback` and `feedback_at` have what was sent, however late.

    Args:
        traffic: Only rows of this `Traffic.label`.
        since: Only rows predicted from then on.
        until: Only rows predicted earlier.
        columns: Of requests and features, that are wanted too.
        at_most: Rows, the same of the same log each time; None: all.
    """
    with connect() as con:
        _attach_log(con, log_uri(lake, model), since, has_classes=rules.task == "multiclass")
        held, keys = columns_of(con, "log"), [column_of(key) for key in rules.keys]
        wanted = [name for name in dict.fromkeys([*COLUMNS, *keys, *map(column_of, columns)]) if name in held]
        limit = "" if at_most is None else f"order by hash(event_id, row), event_id, row limit {at_most:d}"
        query = ANSWERED.format(columns=", ".join(map(quoted, wanted)), limit=limit)
        rows = con.sql(query, params={"traffic": traffic, "since": since, "until": until}).to_arrow_table()
        attach_arrow(con, "labelled", _with_labels(con, rows, rules, keys, now))
        attach_feedback(con, lake, model, now=now)
        value = "label" if rules.task == "multiclass" else FINITE
        return con.sql(LABELLED.format(value=value), params={"timeout": rules.timeout}).to_arrow_table()


def _attach_log(con: duckdb.DuckDBPyConnection, uri: str, since: datetime | None, *, has_classes: bool) -> None:
    """Make the view `log`; before the first compaction, and before the first class was named, it has the columns at least."""
    attach_arrow(con, "own columns", own_schema(has_classes=has_classes).empty_table())
    if exists(uri):
        attach(con, "compacted", days_since(uri, since))
    held = "from compacted union all by name" if exists(uri) else ""
    attach_query(con, "log", f'{held} from "own columns"')


def _with_labels(
    con: duckdb.DuckDBPyConnection, rows: pa.Table, rules: LabelRules, keys: Sequence[str], now: datetime
) -> pa.Table:
    """Return the rows with the labels of the spine, in their order."""
    names = [f"key {at}" for at in range(len(keys))]
    if rules.spine is not None and keys and len(rows) and set(keys) <= set(rows.column_names):
        spine = _spine(con, rows, rules, names)
        attach_arrow(con, "asked", rows)
        typed = ", ".join(
            f"try_cast({quoted(key)} as {kind}) as {quoted(name)}"
            for key, name, kind in zip(keys, names, _types(con, names), strict=True)
        )
        asked = con.sql(f"select prediction_time, {typed} from asked").to_arrow_table()
    else:  # nobody has a label, and no label is overdue before its time
        names, asked = ["event_id"], rows.select(["event_id", "prediction_time"])
        spine = _no_spine(rules.task, names)
    joined = join_labels(asked, spine, keys=names, label_timeout=rules.timeout, now=now)
    for name in ("label", "label_known_at", "status"):
        rows = rows.append_column(name, joined[name])
    return rows


def _spine(con: duckdb.DuckDBPyConnection, rows: pa.Table, rules: LabelRules, names: Sequence[str]) -> pa.Table:
    """Return the rows of the spine about the same time as requests, that have a key at all."""
    assert rules.spine is not None
    margin = max(rules.timeout, timedelta(days=1))  # a request need not come when the spine says that it would
    first, last = (rows["prediction_time"][at].as_py() for at in (0, -1))
    attach_arrow(con, "whole spine", rules.spine(first - margin, last + margin))
    renamed = ", ".join(f"{quoted(key)} as {quoted(name)}" for key, name in zip(rules.keys, names, strict=True))
    named = " or ".join(f"{quoted(name)} is not null" for name in names)
    attach_query(con, "spine", f'from (select {renamed}, label, label_known_at from "whole spine") where {named}')
    return con.sql("from spine").to_arrow_table()


def _types(con: duckdb.DuckDBPyConnection, names: Sequence[str]) -> list[str]:
    found = {str(name): str(kind) for name, kind, *_ in con.execute("describe spine").fetchall()}
    return [found[name] for name in names]


def _no_spine(task: Task, names: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    label = pa.string() if task == "multiclass" else pa.float64()
    types = {**dict.fromkeys(names, pa.string()), "label": label, "label_known_at": pa.timestamp("us", "UTC")}
    return pa.schema(types).empty_table()
