"""The Evidently page that a person reads, from a sample; decisions never come from here (drift.py makes them)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from mlops_assets.stats.grid import Kind

SAMPLE_ROWS = 5_000
NOTHING = (
    b"<!doctype html><title>Drift</title><p>No column has values on both sides, so there is nothing to compare.</p>"
)


def render_report(reference: pa.Table, current: pa.Table, kinds: Mapping[str, Kind], *, seed: int) -> bytes:
    """Return a self-contained HTML page that compares two tables; columns without values on one side are left out.

    Args:
        reference: Rows to compare with.
        current: Rows of the window.
        kinds: Columns to compare.
        seed: Decides which rows are sampled.
    """
    from mlops_assets.settings import silence_telemetry

    silence_telemetry()
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    names = [name for name in kinds if _has_values(reference, name) and _has_values(current, name)]
    if not names:
        return NOTHING
    definition = DataDefinition(
        numerical_columns=[name for name in names if kinds[name] == "numeric"],
        categorical_columns=[name for name in names if kinds[name] == "categorical"],
    )
    frames = (_sample(table, {name: kinds[name] for name in names}, seed) for table in (reference, current))
    then, now = (Dataset.from_pandas(frame, data_definition=definition) for frame in frames)
    report = Report([DataDriftPreset(columns=names, method="psi")])
    return report.run(now, then).get_html_str(as_iframe=False).encode()


def _has_values(table: pa.Table, name: str) -> bool:
    from mlops_assets.stats.columns import category_counts

    return name in table.column_names and bool(set(category_counts(table, name)) - {None, "nan", "inf", "-inf"})


def _sample(table: pa.Table, kinds: Mapping[str, Kind], seed: int) -> pd.DataFrame:
    import numpy as np
    import pyarrow as pa

    size = min(SAMPLE_ROWS, table.num_rows)
    rows = np.sort(np.random.default_rng(seed).choice(table.num_rows, size, replace=False))
    types = {"numeric": pa.float64(), "categorical": pa.string()}
    schema = pa.schema([(name, types[kind]) for name, kind in kinds.items()])
    frame = table.select(list(kinds)).take(rows).cast(schema).to_pandas()
    return frame.replace([np.inf, -np.inf], np.nan)
