"""The labels that are known by now, beside the predictions they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    import duckdb
    import pyarrow as pa

SPINE_COLUMNS = ("label", "label_known_at")


class AmbiguousLabels(MlopsError):
    """The spine has several rows for one key, so a prediction would have several labels."""

    def __init__(self, keys: Sequence[str], example: object) -> None:
        super().__init__(
            f"spine: rows with equal {', '.join(keys)}",
            found=f"several, for example {example}",
            required="one row per key",
            remedy="Name every column that tells rows apart under `keys`, or remove the duplicates in the spine's SQL.",
        )


def join_labels(
    predictions: pa.Table, spine: pa.Table, *, keys: Sequence[str], label_timeout: timedelta, now: datetime
) -> pa.Table:
    """Add `label`, `label_known_at` and `status` to each prediction, in the same order.

    `status` is `labelled` where the label is known at `now`; otherwise `pending` up to `prediction_time +
    label_timeout`, then `censored`, for good: as in a training set, a label that comes later does not count. A label
    that does not count is null, and so is its time.

    Args:
        spine: At least `keys`, `label` and `label_known_at`; a null key equals a null key.

    Raises:
        AmbiguousLabels: Two rows of the spine share a key.
    """
    from mlops_assets.lake.engine import attach_arrow, connect, quoted

    with connect() as con:
        attach_arrow(con, "spine", spine.select([*keys, *SPINE_COLUMNS]))
        attach_arrow(con, "predictions", predictions.append_column("_row", [list(range(len(predictions)))]))
        _refuse_duplicates(con, keys)
        same_key = " and ".join(f"s.{quoted(key)} is not distinct from p.{quoted(key)}" for key in keys)
        query = f"""
            select p.* exclude (_row), s.label, s.label_known_at,
                   case when s.label is not null then 'labelled'
                        when p.prediction_time + $timeout >= $now then 'pending'
                        else 'censored' end as status
            from predictions p
            left join (select * from spine where label is not null and label_known_at <= $now) s
                on {same_key} and s.label_known_at <= p.prediction_time + $timeout
            order by p._row
            """
        return con.sql(query, params={"now": now, "timeout": label_timeout}).to_arrow_table()


def _refuse_duplicates(con: duckdb.DuckDBPyConnection, keys: Sequence[str]) -> None:
    from mlops_assets.lake.engine import quoted

    columns = ", ".join(map(quoted, keys))
    found = con.execute(f"select {columns} from spine group by {columns} having count(*) > 1 limit 1").fetchone()
    if found is not None:
        raise AmbiguousLabels(keys, dict(zip(keys, found, strict=True)))
