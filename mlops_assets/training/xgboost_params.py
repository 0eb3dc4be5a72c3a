"""Names that XGBoost does not know: it would warn on the console and train without them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def unknown_params(params: Mapping[str, Any]) -> list[str]:
    """Return the names that neither XGBoost's scikit-learn interface nor the library below it uses.

    A parameter of the library, such as `rate_drop` of `booster: dart`, shows in the configuration of a trained booster.
    """
    import xgboost

    rare = {name: params[name] for name in params if name not in xgboost.XGBModel().get_params()}
    if not rare:
        return []
    import numpy as np

    kind = {name: params[name] for name in ("booster", "objective", "tree_method") if name in params}
    probe = xgboost.train({"verbosity": 0, **kind, **rare}, xgboost.DMatrix(np.zeros((2, 1)), [0, 1]), 1)
    known = set(_keys(json.loads(probe.save_config())))
    return [name for name in rare if name not in known]


def _keys(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        for name, inner in config.items():
            yield name
            yield from _keys(inner)
