"""What the prediction log and the labels say of both arms of an experiment, unit by unit."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.experiment.observed import Observed, Pair, Units
from mlops_assets.experiment.spec import PAST_DAYS
from mlops_assets.lake.engine import attach_arrow, connect, quoted
from mlops_assets.predictions.log.columns import column_of
from mlops_assets.predictions.log.evidence import read_sample
from mlops_assets.predictions.log.labels import labelled_log
from mlops_assets.predictions.log.outcomes import unit_outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pyarrow as pa

    from mlops_assets.experiment.state import Experiment
    from mlops_assets.predictions.log.labels import LabelRules
    from mlops_assets.predictions.log.look import Log

# What a unit is called before the experiment is what its request says; its hash was another one, by another salt.
WITH_PAST = """
    with names as (select unit, any_value({name}) as name from rows where {is_named} group by unit),
         past as (select unit as name, sum(mean * rows) / sum(rows) as before from past_units group by unit)
    select o.arm, o.mean, p.before from own o left join names n using (unit) left join past p using (name)
    order by o.arm, o.unit
"""


def observe(log: Log, experiment: Experiment, rules: LabelRules, *, now: datetime) -> Observed:
    """Return what was seen of both arms since the experiment began; outcomes are of rows that are compacted."""
    spec, since = experiment.asked, experiment.started_at
    by = experiment.unit if spec.cuped else ()
    rows = labelled_log(
        log.lake, experiment.model, rules, now=now, traffic=experiment.label, since=since, columns=list(by)
    )
    sample = read_sample(
        log.capture, model=experiment.model, label=experiment.label, task=log.task, lake=log.lake, since=since
    )
    past = _past(log, experiment, rules) if by else None
    guardrails = {
        at: _pair(rows, unit_outcomes(rows, task=log.task, source=one.outcome.source))
        for at, one in enumerate(spec.guardrails)
        if one.outcome is not None
    }
    primary = unit_outcomes(rows, task=log.task, source=spec.primary.source)
    return Observed(sample, _pair(rows, primary, past=past, by=by), guardrails)


def _past(log: Log, experiment: Experiment, rules: LabelRules) -> pa.Table:
    """Return the outcomes of each unit before the experiment began, whichever version answered.

    As they were known then: a label that came later may be the experiment's own doing, and would be taken out as the past.
    """
    begun = experiment.started_at
    since = begun - timedelta(days=PAST_DAYS)
    rows = labelled_log(
        log.lake, experiment.model, rules, now=begun, since=since, until=begun, columns=list(experiment.unit)
    )
    by = experiment.unit if {column_of(name) for name in experiment.unit} <= set(rows.column_names) else ()
    return unit_outcomes(rows, task=log.task, source=experiment.asked.primary.source, by=by)


def _pair(rows: pa.Table, units: pa.Table, *, past: pa.Table | None = None, by: Sequence[str] = ()) -> Pair:
    columns = [column_of(name) for name in by]
    if past is None or not set(columns) <= set(rows.column_names):
        return Pair(*(Units(_of(units, arm, "mean")) for arm in ("champion", "challenger")))
    names = ", ".join(f"{quoted(name)}::varchar" for name in columns)
    is_named = " and ".join(f"{quoted(name)} is not null" for name in columns)
    with connect() as con:
        for view, table in (("rows", rows), ("own", units), ("past_units", past)):
            attach_arrow(con, view, table)
        query = WITH_PAST.format(name=f"to_json([{names}])::varchar", is_named=is_named)
        found = con.sql(query).to_arrow_table()
    return Pair(*(Units(_of(found, arm, "mean"), _of(found, arm, "before")) for arm in ("champion", "challenger")))


def _of(units: pa.Table, arm: str, column: str) -> Any:
    is_own = units["arm"].to_numpy() == arm
    return units[column].to_numpy()[is_own].astype(float)
