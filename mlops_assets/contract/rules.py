"""What a person may demand of the rows of a table: one class per kind of rule.

Add here: kinds of rules; the audit runs them. Keep out: heavy imports; definitions load this module.
"""

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from mlops_assets.contract.names import (
    ACCEPTED_PREFIX,
    NULL_SHARE_PREFIX,
    RANGE_PREFIX,
    ImportPath,
    RuleName,
    Severity,
    Spec,
    Verdict,
)

OF_ROWS = "warn: count; quarantine: set the row aside; block: any such row stops the publication."
OF_TABLE = "warn: report; block: leave the table untouched."
Date = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}")]


class RowRule(Spec):
    """A predicate that every row must keep."""

    name: RuleName = Field(description="Name of the check and of the rule in the quarantine.")
    sql: str = Field(description="A DuckDB predicate over one row; null counts as broken.", examples=["fare >= 0"])
    severity: Severity = Field(default="quarantine", description=OF_ROWS)


class AcceptedValues(Spec):
    """The only values that a column may hold; null is another rule's matter."""

    column: str = Field(description="A declared column.")
    values: list[str | int | float | bool] = Field(min_length=1, description="The values.", examples=[["EWR", "JFK"]])
    severity: Severity = Field(default="quarantine", description=OF_ROWS)

    @property
    def name(self) -> str:
        return f"{ACCEPTED_PREFIX}{self.column}"


class Range(Spec):
    """Bounds of a column, both included; null is another rule's matter."""

    column: str = Field(description="A declared column of numbers, dates or times.")
    min: float | Date | None = Field(default=None, description="Smallest value; none: any.")
    max: float | Date | None = Field(default=None, description="Largest value; none: any.")
    severity: Severity = Field(default="quarantine", description=OF_ROWS)

    @property
    def name(self) -> str:
        return f"{RANGE_PREFIX}{self.column}"

    @model_validator(mode="after")
    def _bounded(self) -> "Range":
        if self.min is None and self.max is None:
            raise ValueError(f"range of {self.column!r} must have min, max or both")
        return self


class TableCheck(Spec):
    """A free SQL predicate over the whole table, or over a window of it."""

    name: RuleName = Field(description="Name of the check.")
    sql: str = Field(
        description="A DuckDB query over `staged` (the new rows) that gives one boolean; null counts as broken.",
        examples=["select avg(fare) between 5 and 50 from staged"],
    )
    severity: Verdict = Field(default="warn", description=OF_TABLE)


class PythonCheck(Spec):
    """A pandera schema that the rows must keep."""

    name: RuleName = Field(default="pandera", description="Name of the check and of the rule in the quarantine.")
    schema_: ImportPath = Field(
        alias="schema",
        description="`module:attribute` of a pandera `DataFrameSchema` or `DataFrameModel`.",
        examples=["contracts.orders:schema"],
    )
    severity: Severity = Field(default="quarantine", description=OF_ROWS)


class HistoryBand(Spec):
    """A band around what earlier windows had."""

    windows: int = Field(default=8, ge=2, le=100, description="How many published windows before this one count.")
    share: float = Field(
        default=0.5, gt=0, description="The number of rows is within this share of their median.", examples=[0.5]
    )


class RowCount(Spec):
    """How many rows a window (or the whole unpartitioned table) should have."""

    min: int = Field(default=0, ge=0, description="Fewest rows that are normal.")
    max: int | None = Field(default=None, ge=0, description="Most rows that are normal; none: any number.")
    history: HistoryBand | None = Field(
        default=None, description="Also compare with the windows before; needs partitions and at least two of them."
    )
    severity: Verdict = Field(default="warn", description=OF_TABLE)

    @model_validator(mode="after")
    def _ordered(self) -> "RowCount":
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max {self.max} must be at least min {self.min}")
        return self


class NullShare(Spec):
    """The largest share of nulls that is normal in a column."""

    column: str = Field(description="A declared column.")
    max: float = Field(ge=0, le=1, description="Largest normal share, from 0 to 1.")
    severity: Verdict = Field(default="warn", description=OF_TABLE)

    @property
    def name(self) -> str:
        return f"{NULL_SHARE_PREFIX}{self.column}"
