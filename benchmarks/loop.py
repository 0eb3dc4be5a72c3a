"""What the loop costs on 336,776 real flights: each step's wall and CPU seconds, and Dagster's share of a retraining.

The retraining job and the same stage functions as plain Python run in turn, on the same lake, each as the first model.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from importlib.metadata import distributions
from pathlib import Path
from statistics import median

import dagster as dg

from benchmarks.report import at_most, conditions, finish
from mlops_assets.clock import CLOCK_FILE, SimulatedClock
from mlops_assets.settings import load_settings

MODEL, ROUNDS = "flight_delay", 3
TRAINED_UNTIL, SCORED = date(2013, 3, 31), "2013-03-31"
PACKAGES = ["dagster", "dlt", "deltalake", "duckdb", "mlflow", "scikit-learn", "xgboost"]


def main() -> None:
    """Measure every step, then report."""
    under = conditions(PACKAGES)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(MLOPS_HOME=folder, DAGSTER_HOME=f"{folder}/dagster", PYTHONWARNINGS="ignore")
        figures = measure()
    figures |= installed_sizes()
    goals = [at_most("retrain_job_over_plain", figures["retrain_job_over_plain"], 1.3)]
    finish("loop", figures=figures, goals=goals, under=under)


def measure() -> dict[str, float]:
    """Run the loop on a lake of its own."""
    from mlops_assets.cli.demo.replay import Replay
    from mlops_assets.definitions import build_definitions
    from mlops_assets.resources.instance import open_instance

    settings, figures = load_settings(), {}
    with open_instance(settings) as instance:
        replay = Replay(build_definitions(strict=True), instance, SimulatedClock(settings.home / CLOCK_FILE))
        replay.clock.set(datetime(2014, 1, 5, tzinfo=UTC))
        replay.run("nycplanes_ingest")
        with timed(figures, "ingest_336k_flights"):
            replay.run_range("nycflights_ingest", first="2012-12-30", last="2013-12-29")
        replay.clock.set(datetime(TRAINED_UNTIL.year, TRAINED_UNTIL.month, TRAINED_UNTIL.day, tzinfo=UTC))
        with timed(figures, "feature_views_year"):
            replay.run("features_refresh")
        plain = plain_retraining(replay)
        plain()  # imports, and the MLflow database
        forget(settings.lake)
        measure_retraining(figures, replay, plain, settings.lake)
        measure_week(figures, replay)
    return figures


def measure_retraining(figures: dict[str, float], replay, plain: Callable[[], None], lake: str) -> None:
    """Time the job and the plain functions in turn; what counts is the ratio of the medians of their CPU seconds."""
    rounds: list[dict[str, float]] = []
    for number in range(ROUNDS):
        part: dict[str, float] = {}
        with timed(part, "retrain_job"):
            replay.run(f"{MODEL}_retrain")
        forget(lake)
        with timed(part, "retrain_plain"):
            plain()
        if number + 1 < ROUNDS:
            forget(lake)
        rounds.append(part)
    figures |= {name: median(part[name] for part in rounds) for name in rounds[0]}
    figures["retrain_job_over_plain"] = figures["retrain_job_cpu_s"] / figures["retrain_plain_cpu_s"]
    for step, name in (("training_set", "training_set"), ("candidate", "train")):
        with timed(figures, name):
            replay.run(f"{MODEL}_retrain", only=[dg.AssetKey([MODEL, step])])


def measure_week(figures: dict[str, float], replay) -> None:
    """Score, profile and watch one week; once before, so that nothing is imported inside the measurement."""
    for name in ("warm_up", "week_score_profile_drift"):
        with timed(figures, name):
            replay.run(f"{MODEL}_score", partition=SCORED)
            replay.run(f"{MODEL}_monitor", partition=SCORED)
    del figures["warm_up_cpu_s"], figures["warm_up_wall_s"]


def plain_retraining(replay) -> Callable[[], None]:  # noqa: PLR0915  the job's steps in a row, half of it imports
    """Return the retraining job's work as calls of the same stage functions, without Dagster."""
    from mlops_assets.assets.candidate import reference_of
    from mlops_assets.assets.model import resolve_model
    from mlops_assets.components.catalog import read_catalog
    from mlops_assets.definitions import DEFS
    from mlops_assets.evaluation.evaluate import evaluate
    from mlops_assets.features.leakage import check_leakage
    from mlops_assets.features.training_set import build_training_set, load, save
    from mlops_assets.registry.register import register_run
    from mlops_assets.rollout.mirror import mirror_aliases
    from mlops_assets.rollout.promotion import promote
    from mlops_assets.training.candidate import Extras, log_candidate
    from mlops_assets.training.fit import train

    model = resolve_model(read_catalog(DEFS), MODEL)
    resources = replay.definitions.resources
    lake, mlflow, spec = resources["lake"], resources["mlflow"], model.spec

    def build() -> str:
        definition = model.definition()
        built = build_training_set(definition, lake=lake.root, as_of=replay.clock.now(), held=[], window_days=None)
        samples, seed = spec.leakage_check.samples, spec.training.seed
        check_leakage(built, definition, lake=lake.root, known_at=model.known_at(), samples=samples, seed=seed)
        return save(built, lake.root, MODEL).uri

    def retrain() -> None:
        uri, now = build(), replay.clock.now()
        training_set = load(uri)
        with mlflow.tracking().run(MODEL, tags={}) as run:
            fitted = train(
                training_set.table,
                task=spec.task,
                features=training_set.manifest.features,
                request_inputs=spec.request.inputs,
                split_spec=spec.split,
                spec=spec.training,
                label_delay=model.label_timeout,
            )
            extras = Extras({}, model.definition().request.source, reference_of(model, training_set))
            log_candidate(run, fitted, training_set.table, extras=extras)
        run = mlflow.tracking().open_run(run.run_id)
        evaluate(
            load(uri).table,
            run,
            champion=None,
            gate=spec.gate,
            refit_approved=True,
            reference_of=reference_of(model, training_set),
            now=now,
        )
        registry, state = mlflow.registry(), lake.state()
        card = register_run(registry, state, run, model=MODEL, approval="auto", now=now)
        promote(state, MODEL, card.version, who="benchmark", now=now, reason="benchmark")
        mirror_aliases(registry, state, MODEL)

    return retrain


def forget(lake: str) -> None:
    """Make the next version the first one again."""
    shutil.rmtree(Path(lake, "routing"), ignore_errors=True)


def installed_sizes() -> dict[str, float]:
    """Return the size of everything installed, and of NCCL, in megabytes."""
    sizes = {
        one.metadata["Name"]: sum(_size(one.locate_file(file)) for file in one.files or []) for one in distributions()
    }
    nccl = sum(size for name, size in sizes.items() if "nccl" in name)
    return {"installed_mb": sum(sizes.values()) / 1e6, "installed_nccl_mb": nccl / 1e6}


def _size(path) -> int:
    return Path(path).stat().st_size if Path(path).is_file() else 0


@contextmanager
def timed(figures: dict[str, float], name: str) -> Generator[None]:
    """Add the wall and CPU seconds of a block."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    figures[f"{name}_wall_s"], figures[f"{name}_cpu_s"] = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name}: {figures[f'{name}_cpu_s']:.2f} CPU s", file=sys.stderr)


if __name__ == "__main__":
    main()
