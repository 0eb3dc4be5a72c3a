"""The `training.preprocessing` part of a model's file: how one feature is prepared for the estimator."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PreprocessingSpec(BaseModel):
    """One feature. A key that is left out is inferred from the feature's kind and from the estimator."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    impute: Literal["median", "mean", "most_frequent", "constant", "none"] | None = Field(
        default=None, description="What stands for a missing number; none leaves it to the estimator."
    )
    fill: float | str | None = Field(default=None, description="The constant of `impute: constant`.")
    scale: Literal["standard", "robust", "min_max", "none"] | None = Field(
        default=None, description="Scaling of a number; inferred: standard, except for trees."
    )
    encode: Literal["one_hot", "target", "ordinal"] | None = Field(
        default=None, description="Encoding of a category; inferred: one_hot."
    )
    rarest: int | None = Field(default=None, ge=1, description="Rows below which a category shares the rare column.")
    most: int | None = Field(default=None, ge=2, description="Most columns of a one-hot encoding.")
