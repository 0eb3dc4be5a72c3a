"""The `split` and `training` part of a model's file: what a person may write, and why it is refused."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

ESTIMATOR = re.compile(r"xgboost|sklearn(\.\w+)*\.[A-Z]\w*|\w+(\.\w+)*:\w+")


class SplitSpec(BaseModel):
    """How rows are divided by time into training, validation and test."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation_days: float = Field(
        default=14, gt=0, description="Days before the test rows; early stopping looks only here."
    )
    test_days: float = Field(
        default=28, gt=0, description="The newest days, scored once: the gate judges on these rows."
    )
    embargo_days: float = Field(
        default=1,
        ge=0,
        description="Days dropped between two parts; stretched to the delay of the labels when that is longer.",
    )


class TrainingSpec(BaseModel):
    """What is fitted, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    estimator: str = Field(
        default="xgboost", description="`xgboost`, `sklearn.<Class>`, or `module:factory` (called with `params`)."
    )
    params: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="Parameters of the estimator; they override the defaults by name."
    )
    early_stopping_rounds: int | None = Field(
        default=20, gt=0, description="Rounds without gain on validation before XGBoost stops; null trains all rounds."
    )
    seed: int = Field(default=0, ge=0, description="Seed of every random choice in fitting.")
    threads: int = Field(
        default=1, gt=0, description="Threads of the estimator; 1 gives the same bytes on every machine."
    )
    window_days: float | None = Field(
        default=None, gt=0, description="Train on this many newest days of labelled rows; null takes all history."
    )
    refit: bool = Field(default=True, description="After approval, fit the frozen recipe again on all labelled rows.")

    @field_validator("estimator")
    @classmethod
    def _known_form(cls, estimator: str) -> str:
        if not ESTIMATOR.fullmatch(estimator):
            raise ValueError(
                f"found {estimator!r}; required 'xgboost', 'sklearn.<Class>' (such as sklearn.LogisticRegression) "
                "or '<module>:<factory>'. Write one of these forms."
            )
        return estimator
