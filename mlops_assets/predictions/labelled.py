"""The predictions of one window with the labels that are known by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.features.vectors import read_spine
from mlops_assets.lake.tables import read
from mlops_assets.predictions.labels import join_labels
from mlops_assets.predictions.score import predictions_uri

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from pathlib import Path

    import pyarrow as pa

    from mlops_assets.features.spec import SpineSpec


def labelled_window(
    lake: str, model: str, spine: SpineSpec, *, base: Path, table: str, window: str, label_timeout: timedelta, now: datetime
) -> pa.Table:
    """Return the predictions of a window with `label`, `label_known_at` and `status` (see `join_labels`)."""
    rows = read_spine(spine, lake=lake, base=base, window=(table, window))
    scored = read(predictions_uri(lake, model), window=window)
    return join_labels(scored, rows, keys=spine.keys, label_timeout=label_timeout, now=now)
