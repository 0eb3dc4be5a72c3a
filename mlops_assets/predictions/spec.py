"""The `scoring` and `prediction_log` parts of a model's file: what batches and the log of the servers must keep to."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mlops_assets.contract.names import Cron

Severity = Literal["warn", "block"]


class PredictionContractSpec(BaseModel):
    """What the scores of a window must look like before anybody may read them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    severity: Severity = Field(default="block", description="block: the window is not published; warn: it is reported.")
    min: float | None = Field(default=None, description="Smallest score; 0 where scores are probabilities.")
    max: float | None = Field(default=None, description="Largest score; 1 where scores are probabilities.")
    mean_min: float | None = Field(default=None, description="Smallest mean of a window's scores.")
    mean_max: float | None = Field(default=None, description="Largest mean of a window's scores.")
    distinct_min: int = Field(default=1, ge=1, description="Fewest different scores; a model that is stuck has one.")
    max_null_features: float = Field(
        default=1, ge=0, le=1, description="Largest share of rows in which every looked-up feature is null."
    )


class ScoringSpec(BaseModel):
    """When the windows of the spine's table are scored, and what holds them back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schedule: Cron | None = Field(default=None, description="Cron of `<model>_score`, UTC.", examples=["0 7 * * 0"])
    contract: PredictionContractSpec = PredictionContractSpec()
    hold_on_drift: bool = Field(
        default=False, description="A window whose inputs call for an investigation is scored, but not published."
    )


class LogSpec(BaseModel):
    """What becomes of the servers' prediction log."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schedule: Cron | None = Field(
        default=None, description="Cron of `<model>_log`, which compacts the log, UTC.", examples=["*/15 * * * *"]
    )
    retention_days: float | None = Field(
        default=None,
        gt=0,
        description="Age at which rows of the log are removed; their files go with `lake_maintenance`. None: never.",
    )
