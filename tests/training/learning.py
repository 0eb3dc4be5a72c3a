"""A training set of any task whose label depends on every feature, and the shortest way to a fit."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from mlops_assets.predictor.signature import Kind, Task
from mlops_assets.training.fit import train
from mlops_assets.training.spec import SplitSpec, TrainingSpec

START = datetime(2024, 1, 1, tzinfo=UTC)
FEATURES: dict[str, Kind] = {"size": "numeric", "flow": "numeric", "colour": "categorical"}
NAMES = np.array(["low", "mid", "high"])


def rows(task: Task = "binary", count=1600, per_day=20, *, seed=0):
    """Make rows spread evenly over days; every 17th size is missing, and `worth` could weigh the rows."""
    rng = np.random.default_rng(seed)
    size, flow = rng.normal(size=count), rng.normal(size=count)
    colour = rng.choice(["red", "green", "blue"], count, p=[0.5, 0.3, 0.2])
    signal = size + 0.5 * flow + (colour == "red") + 0.7 * rng.normal(size=count)
    label = {"binary": signal > 1, "regression": signal, "multiclass": NAMES[np.digitize(signal, [0, 1])]}[task]
    times = [START + timedelta(days=i / per_day) for i in range(count)]
    return pa.table(
        {
            "prediction_time": pa.array(times, pa.timestamp("us", "UTC")),
            "label": label,
            "size": [None if i % 17 == 0 else value for i, value in enumerate(size)],
            "flow": flow,
            "colour": colour,
            "worth": rng.integers(0, 4, count).astype(float),
        }
    )


def fitted_on(table, task: Task = "binary", features=FEATURES, *, delay=timedelta(days=2), **spec):
    return train(
        table,
        task=task,
        features=features,
        request_inputs=[],
        split_spec=SplitSpec(),
        spec=TrainingSpec(**spec),
        label_delay=delay,
    )


def with_column(table, name, values):
    return table.set_column(table.column_names.index(name), name, pa.array(values))
