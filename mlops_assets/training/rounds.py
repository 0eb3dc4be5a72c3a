"""What XGBoost tells of its boosting rounds, in the names of this project: `<part>_<loss>`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.training.split import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def named_losses(history: Mapping[str, Mapping[str, Sequence[Any]]]) -> dict[str, list[float]]:
    """Return the losses of each round by `<part>_<loss>`, from a history of train rows and validation rows.

    >>> named_losses({"validation_0": {"rmse": [0.5, 0.25]}, "validation_1": {"rmse": [0.75, 0.5]}})
    {'train_rmse': [0.5, 0.25], 'validation_rmse': [0.75, 0.5]}
    """
    parts = zip(PARTS, history.values(), strict=False)
    return {f"{part}_{name}": [float(value) for value in values] for part, of in parts for name, values in of.items()}


def after_each_round(tell: Callable[[int, Mapping[str, float]], bool]) -> Any:
    """Return a callback of XGBoost that tells the losses of each round and stops the training on True."""
    from xgboost.callback import TrainingCallback

    class AfterEachRound(TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002  XGBoost's signature
            return tell(epoch, {name: values[-1] for name, values in named_losses(evals_log).items()})

    return AfterEachRound()
