"""Which rows of a spine may be trained on, and what became of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lake.engine import attach_arrow, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.features.definition import VectorDefinition
    from mlops_assets.lake.windows import Window


@dataclass(frozen=True)
class LabelCounts:
    """What became of the rows of the spine up to `as_of`; pending and censored labels are never imputed.

    Attributes:
        labelled: In the training set.
        pending: The label may still come, or came too close to `as_of` to count.
        censored: The label never came.
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
    as_of: datetime,
    held: Sequence[Window],
) -> tuple[pa.Table, LabelCounts]:
    """Return the rows to train on, in order of time and keys, and what became of all rows from `start` on.

    Args:
        start: Rows predicted earlier are left out and not counted.
        end: Rows predicted from here on are pending, also those whose label is there.
        as_of: A label that was not known by then does not count.
        held: Windows whose rows are left out.
    """
    import pyarrow.compute as pc

    attach_arrow(con, "all_rows", spine)
    column = quoted(definition.window_column)
    spans = [f"({column} >= $start_{i} and {column} < $end_{i})" for i in range(len(held))]
    times = {f"{side}_{i}": getattr(window, side) for i, window in enumerate(held) for side in ("start", "end")}
    query = f"""
        select *, case
            when {" or ".join(spans) or "false"} then 'held'
            when prediction_time >= $end then 'pending'
            when label is not null and not isnan(label) and label_known_at <= $as_of then 'labelled'
            else 'censored' end as "label status"
        from all_rows where prediction_time >= coalesce($start, prediction_time)
        order by {", ".join(map(quoted, ("prediction_time", *definition.spine.keys)))}
    """
    rows = con.sql(query, params={**times, "start": start, "end": end, "as_of": as_of}).to_arrow_table()
    counts = {count["values"]: count["counts"] for count in rows["label status"].value_counts().to_pylist()}
    labelled = rows.filter(pc.field("label status") == "labelled").drop_columns(["label status"])
    return labelled, LabelCounts(**counts)
