"""The `gate` part of a model's file: what a candidate must show before it is registered."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mlops_assets.errors import MlopsError
from mlops_assets.predictor.signature import Task

MetricName = Literal["roc_auc", "average_precision", "log_loss", "rmse", "mae"]
TASK_METRICS: dict[Task, tuple[MetricName, ...]] = {
    "binary": ("roc_auc", "average_precision", "log_loss"),
    "regression": ("rmse", "mae"),
}


class WrongMetric(MlopsError):
    """The gate's metric does not exist for the model's task."""

    def __init__(self, metric: str, task: Task) -> None:
        super().__init__(
            f"gate.metric of a {task} model",
            found=repr(metric),
            required=f"one of {', '.join(TASK_METRICS[task])}",
            remedy="Correct `gate.metric`, or remove it to take the default.",
        )


class GateSpec(BaseModel):
    """The criteria, declared before training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: MetricName | None = Field(default=None, description="Default: roc_auc for binary, rmse for regression.")
    floor: float | None = Field(default=None, description="Worst value of the metric on the test rows that is allowed.")
    baseline_margin: float = Field(
        default=0, ge=0, description="By how much to beat the trivial baseline, in the metric."
    )
    block: str = Field(
        default="day",
        description="Unit of the bootstrap: `day` (calendar day of the prediction, UTC) or a column of the spine. "
        "Rows of one block share their luck, so they are drawn together; at least 10 blocks are needed.",
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Confidence of the bootstrap intervals.")
    replicates: int = Field(default=1000, ge=200, le=100_000, description="Bootstrap replicates.")

    def metric_for(self, task: Task) -> MetricName:
        """Return the metric that judges a model of this task.

        Raises:
            WrongMetric: The metric written in the file is not one of the task's.
        """
        metric = self.metric or TASK_METRICS[task][0]
        if metric not in TASK_METRICS[task]:
            raise WrongMetric(metric, task)
        return metric
