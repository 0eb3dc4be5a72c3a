"""Is the file that will serve the model that was judged? Every form of the saved model against the pipeline in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.verdict import Criterion
from mlops_assets.predictor.equality import TABLES, TOLERANCE, compare
from mlops_assets.predictor.tables import decode

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.predictor.artifact import Predictor

PIPELINE = "model.skops"


def serving_equality(pipeline: Any, served: Predictor, rows: pa.Table, *, threshold: float = 0.5) -> Criterion:
    """Require that the saved model gives the scores of the object in memory, on the four sets of `predictor.equality`.

    Args:
        rows: Real rows, such as the test rows.
        threshold: Score from which a binary decision is positive; no decision may flip.
    """
    tables = served.form_files.get(TABLES)
    found = compare(
        pipeline,
        {PIPELINE: served, **served.forms()},
        rows,
        signature=served.manifest.signature,
        tables=None if tables is None else decode(tables),
        threshold=threshold,
    )
    broken = [str(one) for one in found if not one.is_equal]
    worst = max(one.largest for one in found)
    said = (
        "; ".join(broken) or f"{len(found)} comparisons of {', '.join(sorted({one.form for one in found}))} within it"
    )
    return Criterion(
        name="serving_equality",
        kind="serving",
        observed=worst,
        threshold=TOLERANCE,
        passed=not broken,
        reason=f"serving_equality: required a largest difference <= {TOLERANCE:g} and no decision flipped; found {said}",
    )
