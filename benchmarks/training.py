"""What training costs: against XGBoost called bare, the same bytes again from each seed, and the memory of 50M streamed rows.

- `overhead`: `train` on a set in memory (split, preprocessing, fit, scores of the validation rows) against `xgboost.train`
  on the prepared matrices, with the same parameters, rounds and watched parts; both must give the same trees. What
  `log_candidate` costs is told apart.
- `seeds`: a candidate is trained and saved twice from each of three seeds, each time in a fresh process.
- `streamed`: a generated set is written, then opened and trained on by a process of its own, whose peak is taken.

python -m benchmarks.training [--small]
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any, cast

import pyarrow as pa

from benchmarks.report import at_most, conditions, finish
from benchmarks.streamed_set import FEATURES, generated
from mlops_assets.training.fit import Fitted, train
from mlops_assets.training.spec import SplitSpec, TrainingSpec

ROUNDS, SEEDS = 3, (0, 1, 2)
SIZES = {"overhead": 1_000_000, "seeds": 100_000, "streamed": 50_000_000}
SMALL = {"overhead": 100_000, "seeds": 20_000, "streamed": 500_000}
GOALS = {"train_over_bare": 1.2, "seeds_that_differ": 0, "streamed_peak_gib": 8}
PACKAGES = ["mlops-assets", "numpy", "pyarrow", "scikit-learn", "xgboost"]


def main() -> None:
    """Measure the three, then report."""
    sizes = SMALL if "--small" in sys.argv else SIZES
    under = {**conditions(PACKAGES), **{f"{name}_rows": rows for name, rows in sizes.items()}}
    figures = overhead(generated(0, sizes["overhead"], sizes["overhead"]))
    figures["seeds_that_differ"] = sum(len(set(bytes_of(seed, sizes["seeds"]))) > 1 for seed in SEEDS)
    figures |= streamed(sizes["streamed"])
    goals = [at_most(name, figures[name], limit) for name, limit in GOALS.items()]
    finish("training", figures=figures, goals=goals, under=under)


def overhead(table: pa.Table) -> dict[str, float]:
    """Return the CPU seconds of our training, of the bare one, and of logging the candidate."""
    fitted, steps = trained(table), {"train": lambda: trained(table), "bare": bare(table)}
    seconds: dict[str, list[float]] = {name: [] for name in (*steps, "log")}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for name, step in {**steps, "log": lambda: logged(fitted, table, folder)}.items():
                start = time.process_time()
                step()
                seconds[name].append(time.process_time() - start)
                print(f"{name}: {seconds[name][-1]:.2f} CPU s", file=sys.stderr)
    figures = {f"{name}_cpu_s": median(all_of) for name, all_of in seconds.items()}
    return {**figures, "train_over_bare": figures["train_cpu_s"] / figures["bare_cpu_s"]}


def trained(table: pa.Table, seed: int = 0) -> Fitted:
    """Train as the asset `candidate` does."""
    return train(
        table,
        task="binary",
        features=FEATURES,
        request_inputs=[],
        split_spec=SplitSpec(),
        spec=TrainingSpec(seed=seed),
        label_delay=timedelta(days=1),
    )


def bare(table: pa.Table) -> Callable[[], None]:
    """Prepare the same matrices, and return the training of the same trees by `xgboost.train` alone."""
    import xgboost

    from mlops_assets.training.rows import part_of

    fitted = trained(table)
    prepare, estimator = (step for _, step in cast("Any", fitted.pipeline).steps)
    taken = [table.take(rows) for rows in (fitted.split.train, fitted.split.validation)]
    rows = [part_of(some, fitted.signature, sample_weight=None) for some in taken]
    parts = [(prepare.transform(part.frame), part.y) for part in rows]
    params, rounds = estimator.get_xgb_params(), TrainingSpec().early_stopping_rounds

    def run() -> None:
        matrix = xgboost.QuantileDMatrix(*parts[0], nthread=1)
        watched = [(matrix, "train"), (xgboost.QuantileDMatrix(*parts[1], ref=matrix, nthread=1), "validation")]
        booster = xgboost.train(
            params, matrix, estimator.n_estimators, evals=watched, early_stopping_rounds=rounds, verbose_eval=False
        )
        assert booster.save_raw() == estimator.get_booster().save_raw()

    return run


def logged(fitted: Fitted, table: pa.Table, folder: str) -> None:
    """Log the candidate with all that belongs to it, to a database and folder of its own."""
    from mlops_assets.training.candidate import Extras, log_candidate
    from mlops_assets.training.tracking import Tracking

    with Tracking(f"sqlite:///{folder}/mlflow.db", "bench", f"{folder}/artifacts").run("bench", tags={}) as run:
        log_candidate(run, fitted, table, extras=Extras({}))


def bytes_of(seed: int, rows: int) -> list[str]:
    """Return what two fresh processes make of one seed: a hash of everything that they saved and predicted."""
    return [_fresh("benchmarks.training", "save", str(seed), str(rows))[0] for _ in range(2)]


def saved(seed: int, rows: int) -> str:
    """Train and save a model, and return a hash of its booster, its tables, its other files and its predictions.

    Of the file of the pipeline the parts count: skops names the objects in it by their places in memory.
    """
    from mlops_assets.predictor.artifact import MODEL, load, save
    from mlops_assets.registry.rebuild.skops_parts import parts_digest

    table = generated(0, rows, rows)
    fitted = trained(table, seed)
    with tempfile.TemporaryDirectory() as folder:
        manifest = save(Path(folder), fitted.pipeline, signature=fitted.signature, rows=table, facts={})
        predictions = load(folder).predict(table).tobytes()
        parts = parts_digest(Path(folder, MODEL).read_bytes())
    found = {**manifest.files, MODEL: parts, "predictions": hashlib.sha256(predictions).hexdigest()}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def streamed(rows: int) -> dict[str, float]:
    """Write a set and train on it, each in a process of its own; the last tells what it took and its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        _fresh("benchmarks.streamed_set", "write", f"{folder}/set", str(rows))
        [line] = _fresh("benchmarks.streamed_set", "fit", f"{folder}/set")
    return {f"streamed_{name}": figure for name, figure in json.loads(line).items()}


def _fresh(module: str, *arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


if __name__ == "__main__":
    if "save" in sys.argv:
        print(saved(int(sys.argv[2]), int(sys.argv[3])))
    else:
        main()
