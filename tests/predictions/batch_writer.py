"""A process that scores one long window and publishes it: python batch_writer.py MODEL LAKE ROWS VERSION."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from mlops_assets.lake.windows import Window
from mlops_assets.predictions.batch import Batch, score_batch
from mlops_assets.predictions.spec import PredictionContractSpec
from mlops_assets.predictor.artifact import load

T0 = datetime(2013, 1, 6, tzinfo=UTC)
WINDOW = Window("2013-01-06", T0, T0 + timedelta(days=7))


def vectors(rows: int) -> Iterator[pa.Table]:
    for start in range(0, rows, 10_000):
        x = np.arange(start, min(rows, start + 10_000)) / rows
        yield pa.table({"order_id": np.arange(start, start + len(x)), "x": x})


if __name__ == "__main__":
    model, lake, rows, version = sys.argv[1:]
    batch = Batch(lake, "churn", WINDOW, int(version))
    scored = score_batch(batch, vectors(int(rows)), load(model), contract=PredictionContractSpec(), looked_up=[])
    scored.staged.publish()
