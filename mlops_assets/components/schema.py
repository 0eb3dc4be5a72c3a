"""What a person may write in the `attributes` of a model file; each stage declares its own part.

Keep out: rules that need a second file (`catalog.py`) and anything that imports Dagster.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mlops_assets.contract.names import Name
from mlops_assets.evaluation.report.spec import CardSpec
from mlops_assets.evaluation.spec import GateSpec
from mlops_assets.experiment.spec import ExperimentSpec
from mlops_assets.features.spec import RequestSpec, SpineSpec
from mlops_assets.monitoring.spec import MonitoringSpec
from mlops_assets.predictions.spec import LogSpec, ScoringSpec
from mlops_assets.predictor.signature import Task
from mlops_assets.retraining.spec import RetrainingSpec
from mlops_assets.rollout.spec import RolloutSpec
from mlops_assets.training.spec import SplitSpec, TrainingSpec

FeatureReference = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]*:[a-z][a-z0-9_]*$"),
    Field(description="One feature as `<view>:<feature>`.", examples=["carrier_delay:carrier_arr_delay_7d"]),
]


class LeakageSpec(BaseModel):
    """How thoroughly the training set is searched for values from the future."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    samples: int = Field(default=5, ge=1, le=100, description="Prediction times whose rows are computed again.")


class SkewSpec(BaseModel):
    """How thoroughly logged predictions are compared with the offline path."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    samples: int = Field(default=1000, ge=1, description="Logged rows of a window that are computed again.")
    severity: Literal["warn", "block"] = Field(default="warn", description="warn: report; block: fail the check's run.")


class DeploymentSpec(BaseModel):
    """How an approved version reaches traffic."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wait_seconds: float = Field(
        default=30, ge=0, le=600, description="How long to wait for a running server to load the new version."
    )


class ServingSpec(BaseModel):
    """What a server does with this model's requests."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fallback: dict[str, float | str | None] = Field(
        default={},
        description="Values of features that could not be looked up in time; null otherwise. Saved with the model.",
        examples=[{"mean_amount": 20.0}],
    )


class ModelSpec(BaseModel):
    """One model, from the tables it reads to the traffic it takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="Key prefix, group and registered name of the model.")
    description: str = Field(description="What is predicted, for whom, and when.")
    owners: list[str] = Field(default=[], description="E-mail addresses or `team:<name>`.", examples=[["team:ml"]])
    task: Task = Field(
        description="`binary` predicts the probability of label 1, `multiclass` that of each label, `regression` a number."
    )
    spine: SpineSpec = Field(description="One row for each prediction: keys, time, label.")
    features: list[FeatureReference] = Field(default=[], description="Features looked up as they were known.")
    request: RequestSpec = Field(description="What a caller sends, and the features made of it.")
    leakage_check: LeakageSpec = LeakageSpec()
    skew_check: SkewSpec = SkewSpec()
    split: SplitSpec = SplitSpec()
    training: TrainingSpec = TrainingSpec()
    gate: GateSpec = GateSpec()
    approval: Literal["auto", "manual"] = Field(
        default="auto", description="manual: a version that passed the gate waits for `mlops approve`."
    )
    card: CardSpec = Field(default=CardSpec(), description="What the model card says beyond measured facts.")
    serving: ServingSpec = ServingSpec()
    deployment: DeploymentSpec = DeploymentSpec()
    rollout: RolloutSpec | None = Field(
        default=None, description="Steps to full traffic; without it an approved version takes all traffic at once."
    )
    experiment: ExperimentSpec | None = Field(default=None, description="How champion and challenger are compared.")
    prediction_log: LogSpec = LogSpec()
    scoring: ScoringSpec = ScoringSpec()
    monitoring: MonitoringSpec = Field(default_factory=MonitoringSpec)  # pyright: ignore[reportArgumentType]
    retraining: RetrainingSpec = Field(default_factory=RetrainingSpec)  # pyright: ignore[reportArgumentType]
    executor: Literal["in_process", "multiprocess"] = Field(
        default="in_process", description="Where the steps of this model's jobs run."
    )

    @property
    def views(self) -> list[str]:
        """Names of the feature views that the model reads, in order of first mention."""
        return list(dict.fromkeys(reference.split(":")[0] for reference in self.features))
