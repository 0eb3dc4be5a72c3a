"""What the model that will serve may cost: the time for one row, and the bytes of its files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mlops_assets.evaluation.verdict import Criterion

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from mlops_assets.evaluation.spec import GateSpec
    from mlops_assets.predictor.artifact import Predictor

KIND = "serving"
CALLS, WARM_UP = 200, 20


def budget(served: Predictor, uri: str, rows: pa.Table, spec: GateSpec) -> Iterator[Criterion]:
    """Yield a criterion for each limit that the file sets.

    Args:
        served: The model at `uri`.
        rows: Rows to score, one at a time.
    """
    if spec.latency_ms is not None:
        yield _within("latency_ms", latency_ms(served, rows), spec.latency_ms, f"99th percentile of {CALLS} rows")
    if spec.artifact_mb is not None:
        yield _within("artifact_mb", artifact_mb(uri), spec.artifact_mb, "size of the saved model")


def latency_ms(served: Predictor, rows: pa.Table) -> float:
    """Return the 99th percentile of the milliseconds that one row takes, warm, in this process.

    Other work on the machine is in it: a limit needs room, and a limit near the median will fail by chance.
    """
    import numpy as np

    columns = {name: rows[name].to_numpy() for name in served.features}
    taken: list[float] = []
    for call in range(WARM_UP + CALLS):
        place = call % rows.num_rows
        one = {name: values[place : place + 1] for name, values in columns.items()}
        started = time.perf_counter()
        served.predict(one)
        taken.append(time.perf_counter() - started)
    return 1000 * float(np.quantile(taken[WARM_UP:], 0.99))


def artifact_mb(uri: str) -> float:
    """Return the size of all files of a saved model in 10^6 bytes."""
    import fsspec.core

    filesystem, folder = fsspec.core.url_to_fs(uri)
    return filesystem.du(folder) / 1e6


def _within(name: str, observed: float, limit: float, what: str) -> Criterion:
    return Criterion(
        name=name,
        kind=KIND,
        observed=observed,
        threshold=limit,
        passed=observed <= limit,
        reason=f"{name}: {what} is {observed:.3g}; required <= {limit:g}",
    )
