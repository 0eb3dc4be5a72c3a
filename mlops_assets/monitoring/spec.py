"""What a person may say about monitoring a model; every key has a default that suits weekly windows of thousands of rows."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class MonitoringSpec(BaseModel):
    """Limits of the drift rule: a feature alarms when it leaves its own history *and* the change is large enough to matter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schedule: str | None = Field(
        None,
        pattern=r"^\S+( \S+){4}$",
        description="Five-field cron line (UTC) that monitors the last complete window.",
    )
    baseline_windows: int = Field(8, ge=1, description="Earlier windows whose sum a window is compared with.")
    min_history: int = Field(8, ge=2, description="Earlier distances needed before a feature can alarm.")
    z: float = Field(5.0, gt=0, description="Standard deviations above the feature's own earlier distances.")
    psi_floor: float = Field(
        0.02, gt=0, description="A change with a smaller PSI (10 bins) and a smaller KS never alarms."
    )
    ks_floor: float = Field(0.03, ge=0, description="See psi_floor; KS exists for numeric features only.")
    missing_jump: Share = Field(
        0.05, description="Rise of the missing share over the baseline that looks like a broken pipeline."
    )
    new_category_share: Share = Field(
        0.01, description="Share of rows in categories never seen that looks like a schema change."
    )
    scale_factor: float = Field(
        1.25,
        gt=1,
        description="Change of a standard deviation, up or down, that looks like a change of unit if it never happened before.",
    )
    sudden_ratio: float = Field(
        3.0, gt=1, description="Distance over the largest earlier one at which a change is sudden, not gradual."
    )
    min_rows: int = Field(
        200, ge=1, description="Windows with fewer rows are reported as insufficient; PSI is biased below this."
    )
    report: Literal["on_event", "always", "never"] = Field(
        "on_event", description="When the Evidently report is rendered."
    )
    exogenous: list[str] = Field(
        default_factory=list,
        description="Features whose drift informs but never alarms, beside those their views declare.",
    )
