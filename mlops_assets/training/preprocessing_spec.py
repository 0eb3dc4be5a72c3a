"""The `training.preprocessing` part of a model's file: how one feature is prepared for the estimator."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NUMBER_KEYS = ("impute", "fill", "scale")
CATEGORY_KEYS = ("encode", "rarest", "most")


class PreprocessingSpec(BaseModel):
    """One feature. A key that is left out is inferred from the feature's kind and from the estimator."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    impute: Literal["median", "mean", "most_frequent", "constant", "none"] | None = Field(
        default=None, description="What stands for a missing number; none leaves it to the estimator."
    )
    fill: float | None = Field(default=None, allow_inf_nan=False, description="The constant of `impute: constant`.")
    scale: Literal["standard", "robust", "min_max", "none"] | None = Field(
        default=None, description="Scaling of a number; inferred: none for xgboost, else standard."
    )
    encode: Literal["one_hot", "target", "ordinal"] | None = Field(
        default=None,
        description="Encoding of a category; inferred: one_hot. target is the mean label of the category (of each class, "
        "if there are several), cross-fitted; ordinal is its place in the alphabet, -1 if it was never seen.",
    )
    rarest: int | None = Field(default=None, ge=1, description="Rows below which a category shares the rare column.")
    most: int | None = Field(default=None, ge=2, description="Most columns of a one-hot encoding.")

    @model_validator(mode="after")
    def _keys_that_go_together(self) -> Self:
        given = self.model_dump(exclude_none=True)
        numbers, categories = ([key for key in keys if key in given] for keys in (NUMBER_KEYS, CATEGORY_KEYS))
        if numbers and categories:
            raise ValueError(
                f"found {', '.join(numbers)} beside {', '.join(categories)}; required keys of a number "
                f"({', '.join(NUMBER_KEYS)}) or of a category ({', '.join(CATEGORY_KEYS)}). Remove those of the other kind."
            )
        if (self.impute == "constant") != (self.fill is not None):
            raise ValueError("found one of `impute: constant` and `fill`; required both. Add the other, or remove it.")
        if self.encode in ("target", "ordinal") and (self.rarest or self.most):
            raise ValueError(
                f"found `rarest` or `most` with `encode: {self.encode}`; required with `one_hot` only. Remove them."
            )
        return self
