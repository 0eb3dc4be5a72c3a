"""The `experiment` part of a model's file: what two versions are compared by, and how sure one wants to be."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlops_assets.contract.names import Cron
from mlops_assets.predictions.log.outcomes import Source
from mlops_assets.rollout.spec import FastFailSpec

Kind = Literal["proportion", "mean"]
PAST_DAYS = 28  # how far back CUPED looks


class OutcomeSpec(BaseModel):
    """What is measured of each unit: the mean over its rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Source = Field(
        default="label",
        description="label: the label of the spine; feedback: the value sent to POST /feedback; error: the squared error of "
        "the score (of several classes, whether the class is wrong); score: the score itself.",
    )
    kind: Kind = Field(default="proportion", description="proportion: 0 or 1; mean: any number.")
    larger_is_better: bool | None = Field(
        default=None,
        description="Which of two means is the better one; by default the larger one, of `error` the smaller.",
    )

    @property
    def is_larger_better(self) -> bool:
        return self.source != "error" if self.larger_is_better is None else self.larger_is_better

    @model_validator(mode="after")
    def _wants_no_errors(self) -> Self:
        if self.source == "error" and self.larger_is_better:
            raise ValueError("found `larger_is_better: true` of errors; required false. Leave it out.")
        return self


class PrimarySpec(OutcomeSpec):
    """The one metric that decides."""

    baseline: float = Field(description="Its mean as it is now, for planning: a share, or a number.")
    deviation: float | None = Field(default=None, gt=0, description="Standard deviation between units, of a mean.")
    minimum_effect: float = Field(gt=0, description="Smallest difference worth seeing, absolute.")

    @model_validator(mode="after")
    def _can_be_planned(self) -> PrimarySpec:
        if self.kind == "mean" and self.deviation is None:
            raise ValueError(
                "found a mean without `deviation`; required for planning. Give the deviation between units."
            )
        if self.kind == "proportion" and not 0 <= self.baseline <= 1:
            raise ValueError(f"found baseline {self.baseline:g}; required a share in 0..1, or `kind: mean`.")
        if self.kind == "proportion" and self.minimum_effect > max(self.baseline, 1 - self.baseline):
            raise ValueError(f"found minimum_effect {self.minimum_effect:g}; required one that a share can move by.")
        return self


class GuardrailSpec(BaseModel):
    """Something that must not get worse; a breach stops the experiment at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["error_share", "latency_p99", "null_share", "outcome"] = Field(
        description="The first three as in `rollout.metrics`; outcome: another measurement."
    )
    outcome: OutcomeSpec | None = Field(default=None, description="Of `outcome`: what is measured.")
    margin: float = Field(
        gt=0,
        description="How much worse is a breach: absolute; of latency_p99 as a ratio above 1, so 0.25 allows 1.25 times.",
    )
    alpha: float = Field(default=0.001, gt=0, lt=0.5, description="Chance of a false breach over the whole experiment.")

    @model_validator(mode="after")
    def _measures_something(self) -> GuardrailSpec:
        if (self.name == "outcome") != (self.outcome is not None):
            raise ValueError(f"found name {self.name}; required `outcome` beside the name `outcome`, and there alone.")
        return self


class ExperimentSpec(BaseModel):
    """How champion and challenger are compared in traffic."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    primary: PrimarySpec
    guardrails: list[GuardrailSpec] = []
    unit: list[str] = Field(
        default=[],
        description="Columns of a request that name who is assigned; by default the entities of the model's views.",
    )
    share: float = Field(default=0.5, gt=0, lt=1, description="Share of the units that the challenger answers.")
    alpha: float = Field(default=0.05, gt=0, lt=0.5, description="Chance to see a difference that is not there.")
    power: float = Field(default=0.8, gt=0.5, lt=1, description="Chance to see `minimum_effect`.")
    units_per_day: float | None = Field(default=None, gt=0, description="New units a day, for the planned duration.")
    minimum_days: float = Field(default=7, ge=0, description="It runs at least as long, whatever it shows.")
    maximum_days: float = Field(default=56, gt=0, description="It ends then, decided or not.")
    analysis: Literal["fixed", "sequential"] = Field(
        default="fixed",
        description="fixed: one look at the planned end; sequential: always-valid (mSPRT), may be looked at every day.",
    )
    cuped: bool = Field(
        default=False,
        description="Reduce variance by each unit's mean outcome before the experiment, where it has one (CUPED).",
    )
    fast_fail: FastFailSpec = FastFailSpec()
    on_win: Literal["report", "promote"] = Field(
        default="report",
        description="report: a person promotes; promote: the challenger goes on with the steps of `rollout` above its "
        "`share`, or takes all traffic at once where the file has no steps.",
    )
    schedule: Cron | None = Field(
        default=None, description="Cron of `<model>_experiment`, which looks at it, UTC.", examples=["0 6 * * *"]
    )

    @model_validator(mode="after")
    def _ends_after_it_may(self) -> ExperimentSpec:
        if self.minimum_days > self.maximum_days:
            found = f"minimum_days {self.minimum_days:g} and maximum_days {self.maximum_days:g}"
            raise ValueError(f"found {found}; required a maximum that is not below the minimum.")
        return self
