"""A fitted estimator as files that need no scikit-learn and no pickle: ONNX, and for XGBoost its booster.

Both take the matrix that `tables.apply` makes. Add here: how an estimator becomes a file, and how the file scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from mlops_assets.predictor.signature import Task

    Matrix = np.ndarray[Any, Any]
    Estimate = Callable[[Matrix], Matrix]

OPSET = {"": 17, "ai.onnx.ml": 3}


def is_xgboost(estimator: Any) -> bool:
    """Return whether the estimator is XGBoost's, without importing XGBoost."""
    return type(estimator).__module__.startswith("xgboost.")


def booster_bytes(estimator: Any) -> bytes:
    """Return the booster of an XGBoost estimator as UBJSON, cut where early stopping chose."""
    booster, best = estimator.get_booster(), getattr(estimator, "best_iteration", None)
    return bytes((booster if best is None else booster[: best + 1]).save_raw("ubj"))


def onnx_bytes(estimator: Any, *, columns: int) -> bytes:
    """Convert an estimator to ONNX with one float32 input of so many columns.

    Raises:
        Exception: The converters raise what they like at an estimator that they do not know.
    """
    if is_xgboost(estimator):
        import onnxmltools
        from onnxmltools.convert.common.data_types import FloatTensorType

        made = onnxmltools.convert_xgboost(
            estimator, initial_types=[("x", FloatTensorType([None, columns]))], target_opset=15
        )
        cast("Any", made).graph.name = "xgboost"  # or it has a random one, and no two files of one model are the same
        return cast("Any", made).SerializeToString()
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType as Floats

    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
    given = cast("Any", [("x", Floats([None, columns]))])
    made = to_onnx(estimator, initial_types=given, target_opset=OPSET, options=options)
    return cast("Any", made).SerializeToString()


def onnx_estimate(data: bytes, task: Task) -> Estimate:
    """Return the scores of an ONNX estimator, as the estimator gives them: one column a class, or one value a row."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    name, asked = session.get_inputs()[0].name, [session.get_outputs()[0 if task == "regression" else 1].name]

    def estimate(matrix: Matrix) -> Matrix:
        made = np.asarray(session.run(asked, {name: matrix.astype(np.float32)})[0])
        return made.ravel() if task == "regression" else made

    return estimate


def booster_estimate(data: bytes, task: Task) -> Estimate:
    """Return the scores of a saved booster."""
    import numpy as np
    import xgboost

    booster = xgboost.Booster(model_file=bytearray(data))
    booster.set_param({"nthread": 1})

    def estimate(matrix: Matrix) -> Matrix:
        made = np.asarray(booster.inplace_predict(matrix.astype(np.float32)))
        has_classes = task != "regression"  # of two it gives the second's probability alone
        return np.column_stack([1 - made, made]) if has_classes and made.ndim == 1 else made

    return estimate
