"""The `training.tuning` part of a model's file: a search for parameters that never sees a test row."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from mlops_assets.stats.metrics import MetricName

Choice = bool | int | float | str | None
LARGEST_GRID = 10_000
ELSEWHERE = {"random_state": "training.seed", "n_jobs": "training.threads"}


class RangeSpec(BaseModel):
    """Numbers between two ends, both included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: int | float = Field(
        allow_inf_nan=False,
        description="Smallest value; the range is one of integers if both ends are written without a fraction.",
    )
    high: int | float = Field(allow_inf_nan=False, description="Largest value.")
    log: bool = Field(default=False, description="Search the logarithm; not together with `step`.")
    step: int | float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Distance of the values; needed by `sampler: grid`."
    )

    @property
    def is_whole(self) -> bool:
        """Tell whether this is a range of integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"found low {self.low} above high {self.high}; required low <= high. Swap the ends.")
        if self.log and self.low <= 0:
            raise ValueError(f"found log with low {self.low}; required low above 0. Raise `low`, or remove `log`.")
        if self.log and self.step is not None:
            raise ValueError("found log and step; required at most one of them. Remove one.")
        if self.step is not None:
            self._fits(self.step)
        return self

    def _fits(self, step: float) -> None:
        if self.is_whole and not isinstance(step, int):
            raise ValueError(
                f"found step {step} between integers; required an integer. Write an end with a fraction, such as "
                f"{self.low}.0, for a range of fractions."
            )
        if (Decimal(str(self.high)) - Decimal(str(self.low))) % Decimal(str(step)):
            raise ValueError(
                f"found step {step} from {self.low} to {self.high}; required steps that end on high. Correct one of the three."
            )

    def __len__(self) -> int:
        return int((Decimal(str(self.high)) - Decimal(str(self.low))) / Decimal(str(self.step))) + 1

    def values(self) -> list[Choice]:
        """Return the values of a range with a step, in order.

        >>> RangeSpec(low=0.1, high=0.3, step=0.1).values()
        [0.1, 0.2, 0.3]
        """
        exact = [Decimal(str(self.low)) + i * Decimal(str(self.step)) for i in range(len(self))]
        return [int(value) if self.is_whole else float(value) for value in exact]


def _form(written: object) -> str:
    return "list" if isinstance(written, list) else "range"


Values = Annotated[list[Choice], Field(min_length=1)]
Searched = Annotated[
    Annotated[RangeSpec, Tag("range")] | Annotated[Values, Tag("list")], Discriminator(_form)
]  # so that a mistake is answered for the form it was written in


class TuningSpec(BaseModel):
    """A search by Optuna, seeded with `training.seed`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: dict[str, Searched] = Field(
        min_length=1,
        description="What is searched, by parameter of the estimator: a range, or a list of values. It overrides `params`.",
        examples=[{"max_depth": {"low": 3, "high": 9}, "learning_rate": {"low": 0.01, "high": 0.3, "log": True}}],
    )
    sampler: Literal["tpe", "random", "grid"] = Field(default="tpe", description="How the next trial is chosen.")
    trials: int = Field(
        default=30, ge=1, le=10_000, description="Trials in all, at most the grid's size; a resumed search counts on."
    )
    parallel: int = Field(
        default=1, ge=1, le=64, description="Trials at once; with more than one, tpe and the pruners do not repeat."
    )
    timeout_minutes: float | None = Field(default=None, gt=0, description="No trial starts after this time.")
    pruner: Literal["none", "hyperband", "median"] = Field(
        default="none", description="Stops hopeless trials by their validation loss per boosting round (xgboost)."
    )
    metric: MetricName | None = Field(default=None, description="Metric on validation rows; default: that of the gate.")

    @field_validator("space")
    @classmethod
    def _is_searchable(cls, space: dict[str, Searched]) -> dict[str, Searched]:
        for name, values in space.items():
            if name in ELSEWHERE:
                raise ValueError(f"found {name}; required a parameter to search. `{ELSEWHERE[name]}` decides it.")
            if isinstance(values, list) and any(values[i] in values[:i] for i in range(len(values))):
                raise ValueError(f"found equal values for {name}; required different ones. Remove one.")
        return space

    @model_validator(mode="after")
    def _is_a_grid(self) -> Self:
        if self.sampler != "grid":
            return self
        endless = [name for name, values in self.space.items() if isinstance(values, RangeSpec) and not values.step]
        if endless:
            raise ValueError(
                f"found a grid over {', '.join(endless)} without step; required lists, or ranges with `step`. "
                "Add `step`, or write the values."
            )
        if self.points > LARGEST_GRID:
            raise ValueError(
                f"found a grid of {self.points:,} points; required at most {LARGEST_GRID:,}. Use fewer values, or `sampler: random`."
            )
        return self

    @property
    def points(self) -> int:
        """Size of the grid."""
        return math.prod(map(len, self.space.values()))

    def axes(self) -> list[list[Choice]]:
        """Return the values of each parameter of a grid."""
        return [values.values() if isinstance(values, RangeSpec) else values for values in self.space.values()]

    def require_fit(self, estimator: str, *, stops_early: bool, is_streamed: bool) -> None:
        """Refuse what the rest of `training` does not allow.

        Raises:
            ValueError: Says what was found, required, and what to do.
        """
        if is_streamed:
            raise ValueError("found tuning with data: stream; required data: memory. Tune on a shorter `window_days`.")
        if self.pruner != "none" and estimator != "xgboost":
            raise ValueError(
                f"found pruner {self.pruner} with {estimator}; required xgboost, whose rounds can be watched. "
                "Remove `pruner`, or choose xgboost."
            )
        if "n_estimators" in self.space and estimator == "xgboost" and (stops_early or self.pruner != "none"):
            raise ValueError(
                "found n_estimators in the space of a model whose rounds early stopping or the pruner decides; required "
                "one judge of the rounds. Remove it from `space`, or write `early_stopping_rounds: null` and no pruner."
            )
