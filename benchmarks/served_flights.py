"""What the serving benchmark serves: the demo's first version, twice, with online features and a split."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MODEL = "flight_delay"
WINDOW = "2013-03-31"
REQUESTS = 200
KEYS = ("carrier", "origin", "tailnum")


@dataclass(frozen=True)
class Flights:
    """A deployment to be asked.

    Attributes:
        requests: What a caller of ours sends: request inputs and entities.
        vectors: The same flights as whole feature vectors, for servers that look nothing up.
        mlflow_model: The same pipeline as MLflow saves it.
    """

    env: Mapping[str, str]
    keys: Path
    token: str
    requests: Sequence[Mapping[str, Any]]
    vectors: Sequence[Mapping[str, Any]]
    mlflow_model: Path


def prepare(folder: Path) -> Flights:
    """Play a week of the demo in a home of its own, fill the online store, and split the traffic between two copies."""
    home = folder / "home"
    os.environ["MLOPS_HOME"] = str(home)
    env = {"MLOPS_HOME": str(home), "PYTHONPATH": str(Path.cwd())}
    mlops("demo", "--weeks", "1")
    materialise_online()
    split(folder)
    vectors = scored_flights()
    keys = home / "keys.json"
    token = mlops("keys", "create", "benchmark", "--file", str(keys)).split()[-1]
    requests = [{name: one[name] for name in (*inputs(), *KEYS) if name in one} for one in vectors]
    features = [{name: one[name] for name in features_of()} for one in vectors]
    return Flights(env, keys, token, requests, features, save_for_mlflow(folder))


def mlops(*arguments: str) -> str:
    command = [sys.executable, "-m", "mlops_assets.cli.app", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mlops {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def materialise_online() -> None:
    """Copy the newest rows of every view to the online store, as the job `features_refresh` does."""
    from mlops_assets.definitions import build_definitions
    from mlops_assets.resources.instance import open_instance
    from mlops_assets.settings import load_settings

    settings = load_settings()
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    with open_instance(settings) as instance:
        job = build_definitions(strict=True).resolve_job_def("features_refresh")
        assert job.execute_in_process(instance=instance).success


def split(folder: Path) -> None:
    """Give half of the units to a copy of the champion, as an experiment does."""
    from dataclasses import replace

    from mlops_assets.rollout.routing import Routing
    from mlops_assets.rollout.state import Route, Traffic
    from mlops_assets.rollout.traffic import change_routing

    def change(routing: Routing | None) -> Routing:
        assert routing is not None
        copy = shutil.copytree(routing.champion.artifact_uri, folder / "copy")
        traffic = Traffic(Route(2, "copy", str(copy)), "benchmark/0", 0.5, "benchmark", ("tailnum",))
        return replace(routing, challenger=traffic)

    change_routing(state(), MODEL, change, now=datetime.now(UTC), reason="benchmark")


def state() -> Any:
    from mlops_assets.lake.state import open_state
    from mlops_assets.settings import load_settings

    return open_state(load_settings().lake)


def champion() -> Any:
    from mlops_assets.predictor.artifact import load
    from mlops_assets.rollout.routing import read_routing

    stored = read_routing(state(), MODEL)
    assert stored is not None
    return load(stored[0].champion.artifact_uri)


def inputs() -> Sequence[str]:
    return champion().request_inputs


def features_of() -> Sequence[str]:
    return list(champion().features)


def scored_flights() -> list[dict[str, Any]]:
    """Return flights of the replayed week with their vectors, request inputs and entities."""
    from mlops_assets.lake.tables import read
    from mlops_assets.predictions.score import predictions_uri
    from mlops_assets.settings import load_settings

    rows = read(predictions_uri(load_settings().lake, MODEL), window=WINDOW)
    picked = rows.slice(0, REQUESTS)
    return [json.loads(json.dumps(row, default=str)) for row in picked.to_pylist()]


def save_for_mlflow(folder: Path) -> Path:
    """Save the champion's own pipeline as an MLflow model (skops, no pickle) with a signature."""
    import skops.io
    from mlflow import sklearn
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    predictor = champion()
    kinds = {"numeric": "double", "categorical": "string"}
    columns = [ColSpec(kinds[kind], name, required=False) for name, kind in predictor.features.items()]
    types = skops.io.get_untrusted_types(data=skops.io.dumps(predictor.pipeline))
    path = folder / "mlflow_model"
    sklearn.save_model(
        predictor.pipeline,
        str(path),
        serialization_format="skops",
        skops_trusted_types=types,
        signature=ModelSignature(inputs=Schema(list[ColSpec | TensorSpec](columns))),
        pip_requirements=["scikit-learn", "xgboost", "pandas"],
        pyfunc_predict_fn="predict_proba",
    )
    return path
