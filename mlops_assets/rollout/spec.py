"""The `rollout` part of a model's file: the steps to full traffic, and what must hold at each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator

from mlops_assets.contract.names import Cron

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

SHADOW = "shadow"
Share = Annotated[float, Field(gt=0, le=100)]
Undecided = Literal["hold", "pause", "roll_back"]
ALPHA = "Chance of a false alarm at one look; over all looks of a rollout it is several times as much (ADR 0032)."


class StepSpec(BaseModel):
    """One step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    percent: float = Field(
        default=0,
        ge=0,
        le=100,
        description="Share of the units that the challenger answers, in percent; 0 is a shadow step: it scores what the "
        "champion answers, after the reply, and nobody sees its scores.",
    )
    bake_minutes: float | None = Field(default=None, ge=0, description="Instead of `rollout.bake_minutes`.")
    min_requests: int | None = Field(default=None, ge=1, description="Instead of `rollout.min_requests`.")
    gate: Literal["auto", "manual"] = Field(
        default="auto", description="manual: after this step it waits for `mlops rollout promote`."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, data: Any) -> Any:
        """Let `shadow` and a plain percentage stand for a step."""
        if data == SHADOW:
            return {"percent": 0}
        is_number = isinstance(data, int | float) and not isinstance(data, bool)
        return {"percent": data} if is_number else data

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say so in the schema, too: Dagster's own check of the file goes by it."""
        return {"anyOf": [handler(core_schema), {"const": SHADOW}, {"type": "number", "minimum": 0, "maximum": 100}]}


class FastFailSpec(BaseModel):
    """When the server takes the challenger out by itself, without Dagster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error_share: float = Field(default=0.5, gt=0, lt=1, description="Above this share of errors ...")
    window_requests: int = Field(
        default=10, ge=3, description="... among the challenger's newest requests, as many as this, of one worker."
    )


class FreezeSpec(BaseModel):
    """A time in which no rollout goes forward; going back is always allowed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Cron = Field(description="When it begins: cron, UTC.", examples=["0 16 * * 5"])
    hours: float = Field(gt=0, description="How long it lasts.", examples=[64])


class MetricSpec(BaseModel):
    """What all metrics of a rollout have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dry_run: bool = Field(default=False, description="Measured and shown, without a say.")


class ErrorShareSpec(MetricSpec):
    """Requests that the arm could not answer (Fisher's exact test, one-sided)."""

    alpha: float = Field(default=0.001, gt=0, lt=0.5, description=ALPHA)
    max: float = Field(default=0.05, gt=0, le=1, description="Share that fails whatever the champion does.")


class LatencySpec(MetricSpec):
    """The 99th percentile of the arm's own time: features and model (binomial count above the champion's quantile).

    With the default alpha it takes 757 requests of the champion; fewer do not bound its 99th percentile.
    """

    max_ratio: float = Field(default=1.25, gt=1, description="How many times the champion's p99 is allowed.")
    alpha: float = Field(default=0.001, gt=0, lt=0.5, description=ALPHA)
    max_ms: float | None = Field(default=None, gt=0, description="p99 that fails whatever the champion does.")


class PredictionShiftSpec(MetricSpec):
    """How differently both arms score the same inputs (PSI of their scores, corrected for its bias)."""

    max_psi: float = Field(default=0.25, gt=0, description="Largest shift; 0.25 is commonly called large.")
    min_rows: int = Field(default=200, ge=50, description="Rows scored by both arms that it takes.")


class NullShareSpec(MetricSpec):
    """Feature values that the arm did not have."""

    max_increase: float = Field(default=0.05, ge=0, lt=1, description="How much above the champion's share, absolute.")
    alpha: float = Field(default=0.001, gt=0, lt=0.5, description=ALPHA)


class SampleRatioSpec(MetricSpec):
    """Whether the units fell to the arms as the step says (chi-squared)."""

    alpha: float = Field(default=0.001, gt=0, lt=0.5, description=ALPHA)


class LabelSpec(MetricSpec):
    """What the labels or feedback say of both arms (non-inferiority of means over units)."""

    metric: Literal["label", "error"] = Field(
        default="error",
        description="label: the mean label itself, a business metric such as a conversion; error: the mean of the squared "
        "error (Brier score of probabilities; of a multiclass model the share of wrong classes).",
    )
    larger_is_better: bool = Field(default=True, description="Of `label`; an error is better when smaller.")
    margin: float = Field(gt=0, description="How much worse than the champion's mean is still accepted, absolute.")
    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="Of the one-sided bound: at one look for passing, over all looks of a step for failing.",
    )
    min_labels: int = Field(default=200, ge=20, description="Labelled rows of the challenger that it takes.")


class MetricsSpec(BaseModel):
    """The metrics; null switches one off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error_share: ErrorShareSpec | None = ErrorShareSpec()
    latency_p99: LatencySpec | None = LatencySpec()
    prediction_shift: PredictionShiftSpec | None = PredictionShiftSpec()
    null_share: NullShareSpec | None = NullShareSpec()
    sample_ratio: SampleRatioSpec | None = SampleRatioSpec()
    label: LabelSpec | None = Field(default=None, description="Off unless it is written; labels often come too late.")


class RolloutSpec(BaseModel):
    """How a version comes to full traffic."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: list[StepSpec] = Field(
        default=[StepSpec(), *(StepSpec(percent=percent) for percent in (5, 25, 50, 100))],
        min_length=1,
        description="`shadow`, a percentage, or an object; percentages rise, and the last one is 100.",
        examples=[["shadow", 5, {"percent": 50, "gate": "manual"}, 100]],
    )
    assign_by: list[str] = Field(
        default=[],
        description="Columns of a request that name the unit which keeps its arm, such as a customer; by default the "
        "entities of the model's views, or each request for itself.",
    )
    interval_seconds: float = Field(default=60, ge=1, description="How often the evidence is judged.")
    min_requests: int = Field(default=500, ge=1, description="Requests of the challenger that a step takes at least.")
    bake_minutes: float = Field(default=10, ge=0, description="Time that a step takes at least.")
    max_bake_minutes: float = Field(
        default=360,
        gt=0,
        description="Time after which a step that is not decided is `on_inconclusive` or `on_no_data`.",
    )
    failure_limit: int = Field(default=2, ge=1, description="Failed judgements in a row that roll back.")
    on_inconclusive: Undecided = Field(default="pause", description="What becomes of a step that stays undecided.")
    on_no_data: Undecided = Field(default="pause", description="What becomes of a step that stays short of requests.")
    hold_minutes: float = Field(
        default=0, ge=0, description="How long the champion stays loaded beside a challenger with all traffic."
    )
    on_new_version: Literal["supersede", "wait"] = Field(
        default="supersede", description="What a newer version does to a rollout that is under way."
    )
    fast_fail: FastFailSpec = FastFailSpec()
    freeze: list[FreezeSpec] = Field(default=[], description="When nothing goes forward.")
    metrics: MetricsSpec = MetricsSpec()

    @model_validator(mode="after")
    def _steps_rise(self) -> RolloutSpec:
        percents = [step.percent for step in self.steps]
        if percents[-1] != 100 or sorted(set(percents)) != percents:  # noqa: PLR2004  all
            found = ", ".join(f"{percent:g}" for percent in percents)
            raise ValueError(f"found steps {found}; required rising percentages, `shadow` first if at all, 100 last.")
        return self
