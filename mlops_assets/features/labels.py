"""Which rows of a spine may be trained on, and what became of the others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from mlops_assets.lake.engine import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.features.definition import VectorDefinition
    from mlops_assets.lake.windows import Window

ALL_ROWS = "all rows"
IS_NAN = "coalesce(isnan(try_cast(label as double)), false)"  # a label may also be the name of a class
FATES = ("labelled", "pending", "censored", "held")


@dataclass(frozen=True)
class LabelCounts:
    """What became of the rows of the spine; pending and censored labels are never imputed.

    Attributes:
        labelled: In the training set.
        pending: The label may still come, or came too close to the end to count.
        censored: The label never came, or later than it may.
        held: In a window under investigation.
    """

    labelled: int = 0
    pending: int = 0
    censored: int = 0
    held: int = 0


def labelled_rows(
    con: duckdb.DuckDBPyConnection,
    spine: pa.Table,
    definition: VectorDefinition,
    *,
    start: datetime | None,
    end: datetime,
    held: Sequence[Window],
) -> tuple[pa.Table, LabelCounts]:
    """Return the rows to train on, in the spine's order, and what became of all rows from `start` on.

    A label counts if it was known within `label_timeout_days` of its prediction. One that came later is censored for good: near
    the end it would be missing, and a split could not know it either at the start of its next part.

    Args:
        start: Rows predicted earlier are left out and not counted.
        end: Rows predicted from here on are pending, also those whose label is there.
        held: Windows whose rows are left out.
    """
    import pyarrow as pa

    column = quoted(definition.window_column)
    spans = [f"({column} >= $start_{i} and {column} < $end_{i})" for i in range(len(held))]
    times = {f"{side}_{i}": getattr(window, side) for i, window in enumerate(held) for side in ("start", "end")}
    query = f"""
        select (case
            when prediction_time < $start then null
            when {" or ".join(spans) or "false"} then {FATES.index("held")}
            when prediction_time >= $end then {FATES.index("pending")}
            when label is not null and not {IS_NAN} and label_known_at <= prediction_time + $timeout then {FATES.index("labelled")}
            else {FATES.index("censored")} end)::tinyint as fate
        from {quoted(ALL_ROWS)}
    """
    con.register(ALL_ROWS, spine)
    try:
        timeout = timedelta(days=definition.spine.label_timeout_days)
        params = {**times, "start": start, "end": end, "timeout": timeout}
        fates = con.sql(query, params=params).to_arrow_table()["fate"]
    finally:
        con.unregister(ALL_ROWS)
    counts = {FATES[each["values"]]: each["counts"] for each in fates.drop_null().value_counts().to_pylist()}
    is_labelled = fates.fill_null(-1).to_numpy() == FATES.index("labelled")
    return spine.filter(pa.array(is_labelled)), LabelCounts(**counts)
