"""The `training.tuning` part of a model's file: a search for parameters that never sees a test row."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Choice = bool | int | float | str


class RangeSpec(BaseModel):
    """Numbers between two ends, both included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float = Field(description="Smallest value; the range is one of integers if both ends are written as such.")
    high: float = Field(description="Largest value.")
    log: bool = Field(default=False, description="Search the logarithm.")
    step: float | None = Field(default=None, gt=0, description="Distance of the values; needed by `sampler: grid`.")


class TuningSpec(BaseModel):
    """A search by Optuna, seeded with `training.seed`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: dict[str, RangeSpec | list[Choice]] = Field(
        min_length=1,
        description="What is searched, by parameter of the estimator: a range, or a list of values.",
        examples=[{"max_depth": {"low": 3, "high": 9}, "learning_rate": {"low": 0.01, "high": 0.3, "log": True}}],
    )
    sampler: Literal["tpe", "random", "grid"] = Field(default="tpe", description="How the next trial is chosen.")
    trials: int = Field(
        default=30, ge=1, le=10_000, description="Trials in all; a resumed search counts the former ones."
    )
    parallel: int = Field(default=1, ge=1, le=64, description="Trials at once; more than one gives up reproducibility.")
    timeout_minutes: float | None = Field(default=None, gt=0, description="No trial starts after this time.")
    pruner: Literal["none", "hyperband", "median"] = Field(
        default="none", description="Stops hopeless trials by their validation loss per boosting round (xgboost)."
    )
    metric: str | None = Field(default=None, description="Metric on validation rows; default: that of the gate.")
