"""What a person may say about retraining a model."""

from pydantic import BaseModel, ConfigDict, Field


class RetrainingSpec(BaseModel):
    """When a model may be retrained; the triggers are events, a schedule, and a person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schedule: str | None = Field(
        None,
        pattern=r"^\S+( \S+){4}$",
        description="Five-field cron line (UTC) that retrains whatever monitoring says.",
    )
    cooldown_days: float = Field(
        14, ge=0, description="Days after a retraining in which events wait, to be answered by one run."
    )
    max_attempts: int = Field(3, ge=1, description="Failed runs after which an event is closed as failed.")
    budget_per_30d: int | None = Field(None, ge=1, description="Most retrainings in any 30 days; no limit if absent.")
