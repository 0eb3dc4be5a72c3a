"""Pictures of a search: how it went, and which parameters mattered."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from mlops_assets.training.plots import png
from mlops_assets.training.tuning_choices import SLOT
from mlops_assets.training.tuning_study import value_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from mlops_assets.stats.metrics import Metric

LEAST_TRIALS = 10  # fewer say nothing about importance


def history_plot(tried: list[FrozenTrial], judge: Metric) -> bytes:
    """Draw the value of each trial and the best so far."""
    points = {trial.user_attrs[SLOT]: value for trial in tried if (value := value_of(trial)) is not None}
    slots, values = list(points), list(points.values())
    best = list(accumulate(values, max if judge.greater_is_better else min))
    unfinished = [slot for trial in tried if (slot := trial.user_attrs[SLOT]) not in points]

    def draw(axes: Any) -> None:
        axes.plot(slots, values, ".", color="tab:blue", label="trial")
        axes.step(slots, best, where="post", color="tab:orange", label="best so far")
        if unfinished:
            axes.plot(
                unfinished,
                [0.02] * len(unfinished),
                "|",
                color="grey",
                label="pruned or failed",
                transform=axes.get_xaxis_transform(),
            )
        axes.legend(fontsize=7)
        axes.set(xlabel="trial", ylabel=f"{judge.name} on validation rows", title="Tuning")

    return png(draw)


def importance_plot(study: Study, tried: list[FrozenTrial], *, seed: int) -> bytes | None:
    """Draw the share of each parameter in the variance of the metric (fANOVA); None if too few trials differ.

    Source: Hutter, Hoos, Leyton-Brown: An Efficient Approach for Assessing Hyperparameter Importance, ICML 2014.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    values = [value for trial in tried if (value := value_of(trial)) is not None]
    if len(values) < LEAST_TRIALS or min(values) == max(values):
        return None
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))
    ordered = sorted(shares.items(), key=lambda item: item[1])

    def draw(axes: Any) -> None:
        axes.barh([name for name, _ in ordered], [share for _, share in ordered])
        axes.tick_params(axis="y", labelsize=7)
        axes.set(xlabel="share of the variance", title="Importance of the parameters")

    return png(draw)
