"""What labels, feedback and scores say of each unit: the numbers that rollouts and experiments compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mlops_assets.lake.engine import attach_arrow, connect, quoted
from mlops_assets.predictions.log.columns import column_of
from mlops_assets.predictions.log.evidence import Outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from mlops_assets.predictor.signature import Task

Source = Literal["label", "feedback", "error", "score"]
VALUES: dict[Source, str] = {
    "label": "try_cast(label as double)",
    "feedback": "try_cast(feedback as double)",
    "error": "(score - label) ** 2",
    "score": "score",
}
WRONG_CLASS = "(predicted_class <> label)::double"


def unit_outcomes(labelled: pa.Table, *, task: Task, source: Source, by: Sequence[str] = ()) -> pa.Table:
    """Return one row for each unit and arm: `arm`, `unit`, `mean` over its rows that have a value, `rows` of these.

    The arm is the one that the unit had fallen to, whoever stood in for it.

    Args:
        labelled: From `labels.labelled_log`.
        by: Columns that name the unit, where the log's own name of it does not do: it differs from salt to salt.
    """
    value = WRONG_CLASS if source == "error" and task == "multiclass" else VALUES[source]
    names = ", ".join(f"{quoted(column_of(name))}::varchar" for name in by)
    unit = f"to_json([{names}])::varchar" if by else "if(unit = '', event_id, unit)"
    with connect() as con:
        attach_arrow(con, "labelled", labelled)
        return con.sql(f"""
            select assigned as arm, unit, avg(value) as mean, count(*) as rows
            from (select assigned, {unit} as unit, {value} as value from labelled)
            where isfinite(value) group by all order by all
        """).to_arrow_table()


def sample_outcomes(labelled: pa.Table, *, task: Task, metric: Literal["label", "error"]) -> Outcomes:
    """Return what labels say of both arms, for `evidence.read_sample`."""
    import numpy as np

    units = unit_outcomes(labelled, task=task, source=metric)
    arms, means, rows = (np.asarray(units[name].to_pylist()) for name in ("arm", "mean", "rows"))
    is_new = arms == "challenger"
    return Outcomes(means[~is_new].astype(float), means[is_new].astype(float), int(rows[is_new].sum()))
