"""What a person may write about features, a model's spine and its request; and the hash of what that means.

Add here: rules of one file that need no data. Keep out: heavy imports; definitions load this module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from mlops_assets.contract.names import Cron, Name
from mlops_assets.errors import MlopsError

TIMES = ("event_timestamp", "known_at")
OUTCOME = ("prediction_time", "label", "label_known_at")
RESERVED = (*TIMES, *OUTCOME)
# What a query means stays the same when these change.
PROSE = {"name", "description", "owners", "schedule", "label_timeout_days", "online", "lookback_days", "join"}

JoinEngineName = Literal["duckdb", "portable_sql"]
Column = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Feature = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
TableReference = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*/[a-z][a-z0-9_]*(@current)?$")]


class SqlFileMissing(MlopsError):
    """`sql:` names a file that does not exist."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"sql: {path.name}",
            found=f"no file {path}",
            required="a file beside the YAML, or the query itself",
            remedy="Correct the path (it counts from the folder of the YAML), or write the query inline.",
        )


class FeatureColumn(BaseModel):
    """One feature of a view."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(min_length=1, description="What the value says, with its unit.")
    exogenous: bool = Field(default=False, description="Its drift informs and never alarms (weather, calendar).")


class FeatureViewSpec(BaseModel):
    """Features of one entity, computed by one query over raw tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="Name of the view; models refer to `<view>:<feature>`.")
    description: str = Field(description="What these features say about the entity.")
    owners: list[str] = Field(default=[], description="E-mail addresses or `team:<name>`.", examples=[["team:ml"]])
    entity: list[Column] = Field(min_length=1, description="Columns that say whom a row is about.")
    sources: dict[Column, TableReference] = Field(
        min_length=1,
        description="Raw tables by the alias that the query uses, as `<source>/<table>`; of a table with "
        "history every version, or with `@current` the newest.",
    )
    sql: str = Field(
        min_length=1,
        description="One DuckDB query, or the path of a `.sql` file beside this one. Its columns: the entity, "
        "`event_timestamp` (what a row is about), `known_at` (when it could first be used) and the features.",
    )
    ttl_days: float | None = Field(
        default=None, gt=0, description="A value whose `event_timestamp` is older at prediction time is null."
    )
    features: dict[Feature, FeatureColumn] = Field(min_length=1, description="The features, by column name.")
    lookback_days: float | None = Field(
        default=None,
        gt=0,
        description="A row depends only on raw rows whose time (the `time_column` of their table) is within this many days "
        "of its `event_timestamp`, so a refresh computes only what new raw rows can change; none: everything, every time.",
    )
    online: bool = Field(
        default=False, description="Keep the newest row of each entity in the online store, `online_features/<view>`."
    )
    schedule: Cron | None = Field(default=None, description="Cron expression in UTC that refreshes this view alone.")

    @model_validator(mode="after")
    def _distinct_columns(self) -> FeatureViewSpec:
        _refuse_repeated("entity and features", [*self.entity, *self.features, *RESERVED])
        return self

    @property
    def columns(self) -> list[str]:
        """Return the columns of the view's table, in order."""
        return [*self.entity, *TIMES, *self.features]


class SpineSpec(BaseModel):
    """One row for each prediction: keys, time, and the outcome once it is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: dict[Column, TableReference] = Field(
        min_length=1,
        description="Raw tables by the alias that the query uses, as `<source>/<table>`; of a table with "
        "history every version, or with `@current` the newest.",
    )
    sql: str = Field(
        min_length=1,
        description="One DuckDB query, or the path of a `.sql` file beside this one. Its columns: the keys, the "
        "entities of the views, the request inputs, `prediction_time`, `label` (a number or boolean; of a multiclass "
        "model whatever names the class) and `label_known_at`.",
    )
    keys: list[Column] = Field(min_length=1, description="Columns that together name one prediction.")
    label_timeout_days: float = Field(
        gt=0,
        description="A label missing this long after `prediction_time` is censored, also if it comes later; before, it is pending.",
    )
    join: JoinEngineName = Field(
        default="duckdb",
        description="What joins the features to the spine: `duckdb`, or `portable_sql`, the form for a warehouse "
        "(`mlops sql`). The rows are the same.",
    )

    @model_validator(mode="after")
    def _distinct_keys(self) -> SpineSpec:
        _refuse_repeated("keys", [*self.keys, *OUTCOME])
        return self


class RequestSpec(BaseModel):
    """What a caller sends, and the features made of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: list[Column] = Field(default=[], description="Columns of the spine that a caller sends with a request.")
    file: str | None = Field(
        default=None,
        pattern=r"\.py$",
        description="Python file beside this one that defines `request_features(columns) -> columns` on numpy arrays; "
        "without it the inputs are the features.",
    )

    @field_validator("inputs")
    @classmethod
    def _distinct_inputs(cls, inputs: list[str]) -> list[str]:
        _refuse_repeated("inputs", [*inputs, *RESERVED])
        return inputs

    @model_validator(mode="after")
    def _inputs_for_the_function(self) -> RequestSpec:
        if self.file and not self.inputs:
            raise ValueError(f"found no inputs for {self.file}; required at least one. Name the columns that it reads.")
        return self


def read_sql(sql: str, *, base: Path) -> str:
    """Return the query that `sql:` stands for: the text itself, or that of the `.sql` file it names below `base`.

    Raises:
        SqlFileMissing: The file does not exist.
    """
    text = sql.strip()
    if not text.endswith(".sql") or len(text.split()) > 1:
        return text
    if not (base / text).is_file():
        raise SqlFileMissing(base / text)
    return (base / text).read_text(encoding="utf-8").strip()


def definition_hash(spec: FeatureViewSpec | SpineSpec, sql_text: str) -> str:
    """Return the sha256 of what decides the rows of a view or spine; words for people do not count."""
    meaning = spec.model_dump(mode="json", exclude=PROSE | {"sql"})
    if isinstance(spec, FeatureViewSpec):
        meaning["features"] = list(spec.features)
    text = json.dumps([meaning, sql_text.strip()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_repeated(where: str, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"{where}: found {', '.join(repeated)} twice or reserved; required distinct names, none of "
            f"{', '.join(RESERVED)}. Rename the columns in the query."
        )
