"""The forms of a saved model beside the pipeline: tables and ONNX, tables and booster, whole columns or a few rows at a time.

They score without scikit-learn.
A form that does not give the pipeline's scores is not saved; which were, and why others were not, stands in the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.predictor import tables as flat
from mlops_assets.predictor.calibration import bare_estimator, calibrate, maps_of
from mlops_assets.predictor.equality import ROWS, TABLES, compare
from mlops_assets.predictor.estimate import booster_bytes, booster_estimate, is_xgboost, onnx_bytes, onnx_estimate
from mlops_assets.predictor.frame import feature_frame
from mlops_assets.predictor.rows import RowScorer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa

    from mlops_assets.predictor.equality import Scorer
    from mlops_assets.predictor.estimate import Estimate
    from mlops_assets.predictor.frame import Columns
    from mlops_assets.predictor.signature import Signature

ONNX, BOOSTER = "model.onnx", "booster.ubj"
FORM_FILES = (TABLES, ONNX, BOOSTER)
MAKERS = {ONNX: onnx_estimate, BOOSTER: booster_estimate}  # the cheaper one for few rows first


@dataclass(frozen=True)
class FlatScorer:
    """A model made of tables and an estimate."""

    tables: flat.Tables
    estimate: Estimate
    signature: Signature

    def predict(self, columns: Columns) -> np.ndarray[Any, Any]:
        """Return what `Predictor.predict` returns."""
        import numpy as np

        frame = feature_frame(columns, self.signature)
        made = calibrate(self.tables.calibration, self.estimate(flat.apply(self.tables, frame)))
        return np.asarray(made[:, 1] if self.signature.task == "binary" else made, dtype=np.float64)


def forms_of(pipeline: Any, rows: pa.Table, signature: Signature) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the files of every form that gives the pipeline's scores, and why it lacks the others, by file.

    Args:
        rows: Real rows to compare on.
    """
    files, lacking = _files(pipeline)
    if TABLES not in files:
        return files, lacking
    tables, forms = flat.decode(files[TABLES]), scorers(files, signature)
    differing = _differing(pipeline, {**forms, **row_scorers(forms)}, rows, signature, tables)
    files = {name: data for name, data in files.items() if name not in differing}
    if TABLES not in files:
        return {}, {**lacking, **differing}
    if ROWS in differing and ONNX in differing:  # few rows are then estimated by the booster
        differing.pop(ROWS)
        rest = {name: form for name, form in forms.items() if name in files}
        differing |= _differing(pipeline, row_scorers(rest), rows, signature, tables)
    return files, {**lacking, **differing}


def _differing(
    pipeline: Any, forms: Mapping[str, Scorer], rows: pa.Table, signature: Signature, tables: flat.Tables
) -> dict[str, str]:
    """Return how forms differ from the pipeline, by form, each at the first set of rows that shows it."""
    said: dict[str, str] = {}
    for found in compare(pipeline, forms, rows, signature=signature, tables=tables):
        if not found.is_equal:
            said.setdefault(found.form, f"differs from the pipeline: {found}")
    return said


def _files(pipeline: Any) -> tuple[dict[str, bytes], dict[str, str]]:
    try:
        prepare, estimator = pipeline
        tables = flat.tables_of(prepare, maps_of(estimator))
        files = {TABLES: flat.encode(tables)}
    except Exception as error:  # noqa: BLE001  a pipeline of anybody's making is served through scikit-learn
        return {}, {TABLES: _said(error)}
    bare, lacking = bare_estimator(estimator), dict[str, str]()
    if is_xgboost(bare):
        files[BOOSTER] = booster_bytes(bare)
    try:
        files[ONNX] = onnx_bytes(bare, columns=flat.width(tables))
    except Exception as error:  # noqa: BLE001  the converters raise what they like
        lacking[ONNX] = _said(error)
    return files, lacking


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def scorers(files: Mapping[str, bytes], signature: Signature) -> dict[str, FlatScorer]:
    """Return a scorer for each form that the files hold, by the file of its estimator."""
    if TABLES not in files:
        return {}
    tables = flat.decode(files[TABLES])
    return {
        name: FlatScorer(tables, make(files[name], signature.task), signature)
        for name, make in MAKERS.items()
        if name in files
    }


def row_scorers(forms: Mapping[str, FlatScorer]) -> dict[str, RowScorer]:
    """Return the scorer of few rows under `ROWS`, with the cheapest estimate of the forms; none if there are none."""
    cheapest = next((forms[name] for name in MAKERS if name in forms), None)
    return {} if cheapest is None else {ROWS: RowScorer(cheapest.tables, cheapest.estimate, cheapest.signature)}
