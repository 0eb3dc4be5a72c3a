"""The `gate` part of a model's file: what a candidate must show before it is registered."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from mlops_assets.errors import MlopsError
from mlops_assets.predictor.signature import Task
from mlops_assets.stats.metrics import TASK_METRICS, MetricName


class WrongMetric(MlopsError):
    """The gate's metric does not exist for the model's task."""

    def __init__(self, metric: str, task: Task) -> None:
        super().__init__(
            f"gate.metric of a {task} model",
            found=repr(metric),
            required=f"one of {', '.join(TASK_METRICS[task])}",
            remedy="Correct `gate.metric`, or remove it to take the default.",
        )


class SliceSpec(BaseModel):
    """Rows of the test window by the value of one column; the worst value may not fall too far behind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: str = Field(
        description="A column of the spine or a feature; numbers are cut at their quartiles, no value is a slice."
    )
    max_gap: float = Field(
        gt=0,
        description="By how much the metric of a slice may be worse than that of all rows. A larger gap refuses if it is "
        "more than chance among that many slices.",
    )
    min_rows: int = Field(default=200, ge=2, description="Smaller slices are shown, not judged.")


class FairnessSpec(BaseModel):
    """Groups of people that must be treated alike, measured as fairlearn does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: str = Field(description="The column that names the group; it need not be a feature.")
    demographic_parity_difference: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Largest observed difference of the share of positive decisions between groups.",
    )
    equalized_odds_difference: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Largest observed difference of true or false positive rates between groups.",
    )
    min_rows: int = Field(default=200, ge=2, description="Smaller groups are shown, not judged.")

    @model_validator(mode="after")
    def _has_a_limit(self) -> FairnessSpec:
        if self.demographic_parity_difference is None and self.equalized_odds_difference is None:
            raise ValueError(
                "found no limit; required `demographic_parity_difference`, `equalized_odds_difference` or both. "
                "Set the largest difference that is acceptable."
            )
        return self


class GateSpec(BaseModel):
    """The criteria, declared before training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: MetricName | None = Field(
        default=None, description="Default: roc_auc for binary, log_loss for multiclass, rmse for regression."
    )
    floor: float | None = Field(
        default=None,
        description="Worst value of the metric that is allowed; the worse end of its interval on the test rows must reach it.",
    )
    floors: dict[MetricName, float] = Field(
        default_factory=dict[MetricName, float],
        description="Worst allowed values of further metrics, judged as `floor`.",
        examples=[{"log_loss": 0.5}],
    )
    baseline: Literal["prior", "last_value", "seasonal_naive"] = Field(
        default="prior",
        description="The trivial rival: the training mean; the newest label known by then; the mean of the labels known "
        "by then from the same weekday and hour.",
    )
    baseline_by: list[str] = Field(
        default_factory=list[str],
        description="Columns within which last_value and seasonal_naive look, such as a store.",
    )
    baseline_margin: float = Field(
        default=0,
        ge=0,
        description="By how much to beat the trivial baseline, in the metric; the lower end of the interval must be above.",
    )
    non_inferior: dict[MetricName, PositiveFloat] = Field(
        default_factory=dict[MetricName, PositiveFloat],
        description="By how much further metrics may be worse than the champion's; the worse end of the interval must be "
        "within it.",
        examples=[{"log_loss": 0.005}],
    )
    slices: list[SliceSpec] = Field(
        default_factory=list[SliceSpec], description="Parts of the rows that must not suffer."
    )
    fairness: list[FairnessSpec] = Field(default_factory=list[FairnessSpec], description="Groups to be treated alike.")
    decision_threshold: float = Field(
        default=0.5, gt=0, lt=1, description="Score from which a binary prediction counts as positive."
    )
    calibration_error: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Largest observed expected calibration error on the test rows (10 bins of equal count; of several "
        "classes the most probable one's).",
    )
    latency_ms: float | None = Field(
        default=None,
        gt=0,
        description="Largest 99th percentile of the time to score one row, warm, in this process; leave room for other work "
        "on the machine.",
    )
    artifact_mb: float | None = Field(default=None, gt=0, description="Largest size of the saved model, in 10^6 bytes.")
    block: str = Field(
        default="day",
        description="Unit of the bootstrap: `day` (calendar day of the prediction, UTC) or a column of the spine. "
        "Rows of one block share their luck, so they are drawn together; at least 10 blocks are needed, 20 are better.",
    )
    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="Confidence of the two-sided intervals. A candidate that is no better passes with a chance of at most "
        "(1 - confidence) / 2.",
    )
    replicates: int = Field(default=2000, ge=200, le=100_000, description="Bootstrap replicates.")

    @property
    def tail(self) -> float:
        """Chance that is left out at one end of an interval: alpha, the chance to pass undeservedly."""
        return (1 - self.confidence) / 2

    def metric_for(self, task: Task) -> MetricName:
        """Return the metric that judges a model of this task.

        Raises:
            WrongMetric: The metric written in the file is not one of the task's.
        """
        metric = self.metric or TASK_METRICS[task][0]
        if metric not in TASK_METRICS[task]:
            raise WrongMetric(metric, task)
        return metric
