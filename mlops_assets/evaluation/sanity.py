"""Is the model that will serve the one that was judged? The refit must resemble the candidate, the file the object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.verdict import Criterion
from mlops_assets.predictor.scoring import score
from mlops_assets.stats.metrics import METRICS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.predictor.signature import Signature

    Vector = np.ndarray[Any, Any]

METRIC_BAND = 0.02  # share of the candidate's metric that the refit may lose on rows it has now seen
MEAN_BAND = 0.5  # standard deviations of the candidate's scores by which the refit's mean may move
TOLERANCE = 1e-6
DECISION = 0.5


def refit_metric(y: Vector, candidate: Vector, refit: Vector, *, metric: str) -> Criterion:
    """Require that the refit is not worse on the test rows, which it has seen, than the candidate was."""
    before, after = METRICS[metric](y, candidate), METRICS[metric](y, refit)
    loss = before - after if METRICS[metric].greater_is_better else after - before
    allowed = METRIC_BAND * abs(before)
    return Criterion(
        name="refit_metric",
        observed=after,
        threshold=before,
        passed=loss <= allowed,
        reason=f"refit_metric: {metric} of the refit is worse by {loss:.4g}; required <= {allowed:.4g}",
    )


def refit_mean(candidate: Vector, refit: Vector) -> Criterion:
    """Require that the refit's scores have about the candidate's mean on the same rows."""
    import numpy as np

    shift, allowed = float(abs(refit.mean() - candidate.mean())), MEAN_BAND * float(np.std(candidate))
    return Criterion(
        name="refit_mean",
        observed=shift,
        threshold=allowed,
        passed=shift <= allowed,
        reason=f"refit_mean: the mean score moved by {shift:.4g}; required <= {allowed:.4g}",
    )


def serving_equality(pipeline: Any, predictor: Predictor, table: pa.Table) -> Criterion:
    """Require that the saved and loaded model gives the scores of the object in memory, on real rows and on edge rows.

    The loaded model gets plain numpy columns, as a server hands them over.
    """
    import numpy as np

    signature = predictor.manifest.signature
    worst, flips = 0.0, 0
    for rows in (table, edge_rows(table, signature)):
        ours = score(pipeline, rows, signature)
        served = predictor.predict({name: rows[name].to_numpy() for name in signature.features})
        worst = max(worst, float(np.max(np.abs(ours - served) / np.maximum(np.abs(ours), 1), initial=0)))
        flips += int(((ours >= DECISION) != (served >= DECISION)).sum()) if signature.task == "binary" else 0
    return Criterion(
        name="serving_equality",
        observed=worst,
        threshold=TOLERANCE,
        passed=worst <= TOLERANCE and flips == 0,
        reason=f"serving_equality: largest difference {worst:.2g}, {flips} decisions flipped; "
        f"required <= {TOLERANCE:g} and 0",
    )


def edge_rows(table: pa.Table, signature: Signature) -> pa.Table:
    """Return copies of the first row, each with one feature missing, huge or never seen before."""
    import pyarrow as pa

    edges: dict[str, list[Any]] = {"numeric": [None, 1e30, -1e30], "categorical": [None, "", "never seen"]}
    arrow = {"numeric": pa.float64(), "categorical": pa.string()}
    first = {
        name: table[name].slice(0, 1).combine_chunks().cast(arrow[kind])[0].as_py()
        for name, kind in signature.features.items()
    }
    rows = [{**first, name: value} for name, kind in signature.features.items() for value in edges[kind]]
    schema = pa.schema([(name, arrow[kind]) for name, kind in signature.features.items()])
    return pa.Table.from_pylist(rows, schema=schema)
