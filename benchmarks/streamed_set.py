"""A training set of many generated rows in its stored form, and a model fitted on it while its rows stay in their file.

python -m benchmarks.streamed_set write FOLDER ROWS; python -m benchmarks.streamed_set fit FOLDER
"""

import json
import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.features.labels import LabelCounts
from mlops_assets.features.training_set import DATA, MANIFEST, Kind, Manifest, content_sha256, load
from mlops_assets.lake.stored_table import StoredTable
from mlops_assets.training.spec import SplitSpec, TrainingSpec

DOUBLES, FLOATS, GROUP_ROWS, SEEN_DAYS = 8, 12, 1_048_576, 365  # 2**20: row groups as pyarrow writes them by default
MISSING_SHARE = 0.01  # of the values of one feature
FEATURES: dict[str, Kind] = {f"f{number}": "numeric" for number in range(DOUBLES + FLOATS)}
FIRST = datetime(2023, 1, 1, tzinfo=UTC)
SPEC = TrainingSpec(data="stream", threads=2, params={"n_estimators": 20, "max_depth": 6}, early_stopping_rounds=5)


def write(folder: Path, rows: int) -> None:
    """Write rows in time order, each batch a function of where it starts, and the manifest that makes them a training set."""
    folder.mkdir(parents=True)
    with pq.ParquetWriter(folder / DATA, generated(0, 0, rows).schema, compression="snappy") as file:
        for start in range(0, rows, GROUP_ROWS):
            file.write_table(generated(start, min(start + GROUP_ROWS, rows), rows))
    manifest = Manifest(
        sha256=content_sha256(StoredTable(folder / DATA), FEATURES),
        as_of=FIRST + timedelta(days=SEEN_DAYS),
        rows=rows,
        labels=LabelCounts(labelled=rows, censored=0, pending=0, held=0),
        features=FEATURES,
        spine_definition="",
        request_sha256=None,
        sources={},
        views={},
        libraries={},
    )
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))


def generated(start: int, end: int, rows: int) -> pa.Table:
    """Return the rows of one batch."""
    rng, count = np.random.default_rng([7, start]), end - start
    values = {name: rng.standard_normal(count, np.float32) for name in FEATURES}
    signal = values["f0"] + values["f8"] * values["f1"] + 0.5 * values["f12"] + rng.standard_normal(count, np.float32)
    step_us = SEEN_DAYS * 86_400_000_000 // max(rows, 1)
    times = int(FIRST.timestamp()) * 1_000_000 + np.arange(start, end, dtype=np.int64) * step_us
    columns = {
        name: pa.array(one.astype(np.float64) if number < DOUBLES else one)
        for number, (name, one) in enumerate(values.items())
    }
    columns["f5"] = pa.array(values["f5"].astype(np.float64), mask=rng.random(count) < MISSING_SHARE)
    times_us = pa.array(times).cast(pa.timestamp("us", "UTC"))
    return pa.table({"prediction_time": times_us, "label": pa.array(signal > 0), **columns})


def fit(folder: Path) -> dict[str, float]:
    """Open the set and train on it as the asset `candidate` does; return what it took, and this process's peak."""
    from mlops_assets.training.fit import train

    started, cpu = time.perf_counter(), time.process_time()
    training_set = load(str(folder), data="stream")
    opened, at_open = time.perf_counter() - started, _peak_gib()
    fitted = train(
        training_set.table,
        task="binary",
        features=training_set.manifest.features,
        request_inputs=[],
        split_spec=SplitSpec(),
        spec=SPEC,
        label_delay=timedelta(days=1),
    )
    seconds = time.perf_counter() - started
    return {
        "rows": training_set.manifest.rows,
        "open_s": opened,
        "open_peak_gib": at_open,
        "fit_s": seconds - opened,
        "cpu_s": time.process_time() - cpu,
        "rows_per_s": training_set.manifest.rows / (seconds - opened),
        "peak_gib": _peak_gib(),
        "rounds": fitted.recipe.params["n_estimators"],
        "validation_roc_auc": fitted.metrics["validation_roc_auc"],
    }


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        print(json.dumps(fit(Path(sys.argv[2]))))
