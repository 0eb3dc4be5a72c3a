"""What batch scoring costs: against XGBoost's booster called bare, and the memory of one window of 10M rows.

- `rounds`: windows are scored, judged by the contract and published as a Delta table, from vectors in a Parquet file; turn by
  turn with `Booster.inplace_predict` on the same rows as a float32 matrix that lies ready, both with one thread.
- `window`: all rows as one window, in a process of its own, whose peak is taken.
- `lake`: a window joined from its spine and five views as well, as the asset does it, in a process of its own.

python -m benchmarks.batch [--small]
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import at_most, conditions, finish
from mlops_assets.lake.stored_table import open_table
from mlops_assets.lake.tables import newest_version, snapshot
from mlops_assets.lake.windows import Window
from mlops_assets.predictions.batch import Batch, score_batch
from mlops_assets.predictions.score import predictions_uri
from mlops_assets.predictions.spec import PredictionContractSpec
from mlops_assets.predictor.artifact import load, save
from mlops_assets.predictor.signature import Signature

SIZES = {"round": 2_000_000, "window": 10_000_000, "lake": 10_000_000}
SMALL = {"round": 200_000, "window": 1_000_000, "lake": 500_000}
ROUNDS, PART, TREES, DEPTH, NULL_SHARE = 5, 2**18, 300, 6, 0.05
NAMES = [f"f{number}" for number in range(20)]
GOALS = {"ours_over_bare": 1.5, "window_peak_gib": 4, "lake_peak_gib": 4}
PACKAGES = ["mlops-assets", "deltalake", "duckdb", "numpy", "pyarrow", "xgboost"]
YEAR = Window("2023", datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))


def main() -> None:
    """Measure the three, then report."""
    sizes = SMALL if "--small" in sys.argv else SIZES
    under = {**conditions(PACKAGES), **{f"{name}_rows": rows for name, rows in sizes.items()}, "rounds": ROUNDS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train(folder, NAMES)
        figures = rounds(folder, sizes["round"])
        write_vectors(folder / "window.parquet", sizes["window"])
        figures |= alone("window", folder, sizes["window"])
        figures |= alone("lake", folder, sizes["lake"])
    goals = [at_most(name, figures[name], limit) for name, limit in GOALS.items()]
    finish("batch", figures=figures, goals=goals, under=under)


def train(folder: Path, names: list[str]) -> None:
    """Save a model of 300 trees of depth 6 behind a median imputer."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from xgboost import XGBClassifier

    rows = next(parts(50_000, names)).to_pandas()
    label = rows[names].fillna(0).sum(axis=1) + np.random.default_rng(1).normal(0, 2, len(rows)) > 0
    prepare = ColumnTransformer([("numbers", SimpleImputer(strategy="median"), names)])
    model = XGBClassifier(n_estimators=TREES, max_depth=DEPTH, n_jobs=2)
    signature = Signature(dict.fromkeys(names, "numeric"), "binary")
    pipeline = make_pipeline(prepare, model).fit(rows[names], label)
    save(folder / "model", pipeline, signature=signature, rows=pa.table(rows), facts={})


def parts(rows: int, names: list[str] = NAMES) -> Iterator[pa.Table]:
    """Yield generated vectors: key, time and features, some of them null."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, PART):
        count = min(PART, rows - start)
        at = pa.array(np.arange(start, start + count) * 1_000_000, pa.timestamp("us", "UTC"))
        table = pa.table({"id": np.arange(start, start + count), "prediction_time": at})
        for name in names:
            table = table.append_column(name, pa.array(rng.normal(size=count), mask=rng.random(count) < NULL_SHARE))
        yield table


def write_vectors(path: Path, rows: int) -> None:
    """Write generated vectors as one file."""
    with pq.ParquetWriter(path, next(parts(1)).schema) as writer:
        for part in parts(rows):
            writer.write_table(part)


def rounds(folder: Path, rows: int) -> dict[str, float]:
    """Return CPU seconds a million rows, ours and bare, turn by turn."""
    write_vectors(folder / "round.parquet", rows)
    bare = bare_prediction(folder)
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(ROUNDS):
        for name, step in (("ours", lambda: score(folder, "round")), ("bare", bare)):
            start = time.process_time()
            step()
            seconds[name].append((time.process_time() - start) / rows * 1e6)
            print(f"{name}: {seconds[name][-1]:.3f} CPU us a row", file=sys.stderr)
    ratio = median(ours / bare for ours, bare in zip(seconds["ours"], seconds["bare"], strict=True))
    return {**{f"{name}_cpu_us_per_row": median(all_of) for name, all_of in seconds.items()}, "ours_over_bare": ratio}


def bare_prediction(folder: Path):
    """Return the prediction of the round's rows by the booster alone, on a matrix that lies ready."""
    import xgboost

    files, table = load(str(folder / "model")).form_files, pq.read_table(folder / "round.parquet", columns=NAMES)
    booster = xgboost.Booster(model_file=bytearray(files["booster.ubj"]))
    booster.set_param({"nthread": 1})
    matrix = np.column_stack([column.to_numpy().astype(np.float32) for column in table.columns])
    medians = np.nanmedian(matrix, axis=0)
    matrix = np.where(np.isnan(matrix), medians, matrix)
    return lambda: booster.inplace_predict(matrix)


def score(folder: Path, name: str) -> int:
    """Score the vectors of a file as one window, and publish it."""
    stored = open_table(str(folder / f"{name}.parquet"))
    vectors = stored.batches(np.arange(stored.num_rows))
    return published(folder, "bench", vectors, NAMES)


def published(folder: Path, model: str, vectors: Iterator[pa.Table], looked_up: list[str]) -> int:
    """Score vectors as the asset does, publish them, and return how many there are now."""
    batch = Batch(str(folder / "lake"), model, YEAR, model_version=1)
    predictor = load(str(folder / ("model" if model == "bench" else f"model_{model}")))
    scored = score_batch(batch, vectors, predictor, contract=PredictionContractSpec(), looked_up=looked_up)
    assert not scored.broken
    assert scored.form == "booster.ubj"
    scored.staged.publish()
    uri = predictions_uri(batch.lake, model)
    (file,) = snapshot(uri, newest_version(uri), window=YEAR.key).files
    assert pq.read_metadata(file).num_rows == scored.rows
    return scored.rows


def alone(what: str, folder: Path, rows: int) -> dict[str, float]:
    """Run one of the two below in a process of its own; return its figures."""
    if what == "lake":
        run = [sys.executable, "-m", "benchmarks.large_set", "write", str(folder / "lake"), str(rows)]
        subprocess.run(run, check=True)
    command = [sys.executable, "-m", "benchmarks.batch", what, str(folder)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
    print(f"{what}: {said}", file=sys.stderr)
    return {f"{what}_{name}": figure for name, figure in json.loads(said).items()}


def score_from_lake(folder: Path) -> int:
    """Join the vectors of the window from its spine and its views, score them and publish them."""
    from benchmarks.large_set import definition
    from mlops_assets.features.vectors import window_vector_parts

    wanted = definition()
    features = [reference.split(":")[1] for reference in wanted.features]
    return published(folder, "lake", window_vector_parts(wanted, lake=str(folder / "lake"), window=YEAR), features)


def measured(what: str, folder: Path) -> None:
    """Score, and print what it cost."""
    if what == "lake":
        from benchmarks.large_set import definition

        train_for_lake(folder, [*(one.split(":")[1] for one in definition().features), "amount"])
    cpu, wall = time.process_time(), time.perf_counter()
    rows = score_from_lake(folder) if what == "lake" else score(folder, "window")
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    figures = {"cpu_us_per_row": cpu / rows * 1e6, "rows_per_s": rows / wall, "peak_gib": peak_gib()}
    print(json.dumps(figures))


def peak_gib() -> float:
    """Return the most memory that this process has had; `getrusage` would count that of the one which started it."""
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20


def train_for_lake(folder: Path, names: list[str]) -> None:
    """Save a model of the features of the lake's views."""
    inner = folder / "for_lake"
    train(inner, names)
    (inner / "model").rename(folder / "model_lake")


if __name__ == "__main__":
    if sys.argv[1:2] in (["window"], ["lake"]):
        measured(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
