"""The `card` part of a model's file: what only people know about a model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class CardSpec(BaseModel):
    """What the model card says beyond measured facts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    intended_use: str | None = Field(default=None, description="What the predictions are for, and who acts on them.")
    out_of_scope: str | None = Field(default=None, description="What the predictions must not be used for.")
    limits: list[str] = Field(default_factory=list[str], description="Known limits, one sentence each.")
