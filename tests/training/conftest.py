"""A small training set with a signal, and a place for runs."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.training.tracking import Tracking
from tests.services import postgres  # noqa: F401  fixture

START = datetime(2024, 1, 1, tzinfo=UTC)
FEATURES = {"size": "numeric", "flow": "numeric", "colour": "categorical"}


def rows(days=80, per_day=20, *, task="binary", seed=0):
    """Make rows spread evenly over days; the label follows `size` and the colour red, with noise."""
    rng, count = np.random.default_rng(seed), days * per_day
    size, flow, colour = rng.normal(size=count), rng.normal(size=count), rng.choice(["red", "green"], count)
    signal = size + (colour == "red") + 0.5 * rng.normal(size=count)
    times = [START + timedelta(days=i / per_day) for i in range(count)]
    return pa.table(
        {
            "prediction_time": pa.array(times, pa.timestamp("us", "UTC")),
            "label": signal > 0.5 if task == "binary" else signal,
            "size": [None if i % 17 == 0 else v for i, v in enumerate(size)],
            "flow": flow,
            "colour": colour,
        }
    )


@pytest.fixture(scope="session")
def table():
    return rows()


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory):
    """One database for all tests of a session: creating its tables costs a second."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def tracking(tracking_uri, tmp_path, request):
    return Tracking(tracking_uri, f"env_{request.node.name}"[:80], str(tmp_path / "artifacts"))
