"""The function that computes features from a request, loaded from the source that was saved with the model."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from mlops_assets.predictor.errors import NoRequestFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    RequestFeatures = Callable[[dict[str, np.ndarray[Any, Any]]], dict[str, np.ndarray[Any, Any]]]

FUNCTION = "request_features"


def load_request(source: bytes, *, file: str) -> RequestFeatures:
    """Return the request function defined by `source`.

    Args:
        source: Python source. It is code of this deployment, trusted like the deployment itself.
        file: Where the source came from, for error messages and tracebacks.

    Raises:
        NoRequestFunction: The source defines no function `request_features`.
    """
    module = ModuleType("mlops_request")
    exec(compile(source, file, "exec"), module.__dict__)  # noqa: S102  (verified source of our own model)
    function = getattr(module, FUNCTION, None)
    if not callable(function):
        raise NoRequestFunction(file, FUNCTION)
    return cast("RequestFeatures", function)
