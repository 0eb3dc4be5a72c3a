"""What `training.data: stream` cannot go together with, said before any row is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_assets.training.preprocessing_spec import PreprocessingSpec

REMEDY = "Change it, or write `data: memory`."


def require_streamable(
    estimator: str, params: Mapping[str, Any], preprocessing: Mapping[str, PreprocessingSpec]
) -> None:
    """Refuse what needs all rows at once.

    Raises:
        ValueError: Says what was found, required, and what to do.
    """
    if estimator != "xgboost":
        raise ValueError(f"found {estimator} with data: stream; required xgboost, which learns from batches. {REMEDY}")
    if (method := params.get("tree_method", "hist")) != "hist":
        raise ValueError(
            f"found tree_method {method} with data: stream; required hist, whose bins are streamed. {REMEDY}"
        )
    if (booster := params.get("booster", "gbtree")) == "gblinear":
        raise ValueError(f"found booster {booster} with data: stream; required one of trees. {REMEDY}")
    encoded = [feature for feature, one in preprocessing.items() if one.encode == "target"]
    if encoded:
        raise ValueError(
            f"found encode: target of {', '.join(encoded)} with data: stream; required one_hot or ordinal: the encoder fits "
            f"on a sample, whose own labels would leak into it. {REMEDY}"
        )
