"""The `split` and `training` part of a model's file: what a person may write, and why it is refused."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from mlops_assets.training.preprocessing_spec import PreprocessingSpec
from mlops_assets.training.stream_spec import require_streamable
from mlops_assets.training.tuning_spec import TuningSpec

Label = Annotated[str, BeforeValidator(lambda label: str(label) if type(label) is int else label)]
ClassWeight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ESTIMATOR = re.compile(r"xgboost|sklearn(\.\w+)*\.[A-Z]\w*|\w+(\.\w+)*:\w+")


class SplitSpec(BaseModel):
    """How rows are divided by time into training, validation and test."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation_days: float = Field(
        default=14, gt=0, description="Days before the test rows; early stopping looks only here."
    )
    test_days: float = Field(
        default=28, gt=0, description="The newest days, in no fit and no search: the gate judges on these rows."
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
    data: Literal["memory", "stream"] = Field(
        default="memory",
        description="memory: the training set is read whole; stream: the train rows are read in batches, for more of them than memory "
        "holds (xgboost; preprocessing is fitted on a sample, without tuning or target encoding).",
    )
    preprocessing: dict[str, PreprocessingSpec] = Field(
        default_factory=dict[str, PreprocessingSpec],
        description="How single features are prepared; the rest is inferred from their types.",
        examples=[{"carrier": {"encode": "target"}, "distance": {"impute": "mean"}}],
    )
    class_weights: Literal["balanced"] | dict[Label, ClassWeight] | None = Field(
        default=None,
        description="Weight of each class in fitting: balanced, or by label (0 and 1 of a binary model; 1 if left out). "
        "It multiplies `sample_weight`.",
    )
    sample_weight: str | None = Field(
        default=None,
        description="Column of the spine with the weight of each row, in fitting, early stopping and calibration; never a "
        "feature.",
    )
    monotone: dict[str, Literal["increasing", "decreasing"]] = Field(
        default_factory=dict[str, Literal["increasing", "decreasing"]],
        description="Numeric features whose effect may go one way only (estimators that support it).",
    )
    calibration: Literal["isotonic", "platt", "auto"] | None = Field(
        default=None,
        description="Calibrate probabilities on validation rows; auto takes whichever of none, isotonic and platt has "
        "the least log loss there, by time-ordered halves.",
    )
    tuning: TuningSpec | None = Field(default=None, description="Search for parameters on train and validation rows.")

    @field_validator("estimator")
    @classmethod
    def _known_form(cls, estimator: str) -> str:
        if not ESTIMATOR.fullmatch(estimator):
            raise ValueError(
                f"found {estimator!r}; required 'xgboost', 'sklearn.<Class>' (such as sklearn.LogisticRegression) "
                "or '<module>:<factory>'. Write one of these forms."
            )
        return estimator

    @model_validator(mode="after")
    def _allows_its_tuning(self) -> Self:
        if self.tuning:
            stops_early = self.early_stopping_rounds is not None
            self.tuning.require_fit(self.estimator, stops_early=stops_early, is_streamed=self.data == "stream")
        return self

    @model_validator(mode="after")
    def _can_be_streamed(self) -> Self:
        if self.data == "stream":
            require_streamable(self.estimator, self.params, self.preprocessing)
        return self
