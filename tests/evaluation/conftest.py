"""A training set, and a logged candidate that was trained on it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.predictor.signature import Kind
from mlops_assets.training.candidate import Extras, log_candidate
from mlops_assets.training.fit import train
from mlops_assets.training.spec import SplitSpec, TrainingSpec
from mlops_assets.training.tracking import Tracking

START = datetime(2024, 1, 1, tzinfo=UTC)
REQUEST = b"def request_features(columns):\n    return columns\n"


@pytest.fixture(scope="session")
def table():
    rng, count, per_day = np.random.default_rng(0), 1600, 20
    size, colour = rng.normal(size=count), rng.choice(["red", "green"], count)
    times = pa.array([START + timedelta(days=i / per_day) for i in range(count)], pa.timestamp("us", "UTC"))
    label = size + (colour == "red") + 0.7 * rng.normal(size=count) > 0.5
    size = [None if i % 17 == 0 else value for i, value in enumerate(size)]
    return pa.table({"prediction_time": times, "shop": [f"s{i % 12}" for i in range(count)], "label": label}
                    | {"size": size, "colour": colour})  # fmt: skip


@pytest.fixture(scope="session")
def tracking(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracking")
    return Tracking(f"sqlite:///{folder}/mlflow.db", "dev", f"{folder}/artifacts")


@pytest.fixture(scope="session")
def new_candidate(tracking, table):
    def make(features=("size", "colour"), tracking=tracking, **spec):
        kinds: dict[str, Kind] = {"size": "numeric", "colour": "categorical"}
        with tracking.run("shop", tags={}) as run:
            fitted = train(
                table,
                task="binary",
                features={name: kinds[name] for name in features},
                request_inputs=["size"],
                split_spec=SplitSpec(),
                spec=TrainingSpec(**spec),
                label_delay=timedelta(days=2),
            )
            log_candidate(run, fitted, table, extras=Extras({"training_set": "abc"}, REQUEST, lambda _, scores: b"{}"))
        return run, fitted

    return make


@pytest.fixture(scope="session")
def candidate(new_candidate):
    return new_candidate()
