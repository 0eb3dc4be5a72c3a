"""What a person writes about a source: its tables, their contract, and when their cells become known.

Add here: keys of an `Ingestion` file. Keep out: heavy imports; definitions load this module.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from mlops_assets.contract.partitions import PartitionsSpec

RESERVED_NAMES = frozenset({"raw", "quarantine", "features", "online_features"})
RESERVED_COLUMNS = frozenset({"failed_rules", "load_id", "window"})  # what the quarantine adds to a row
BUILT_IN_RULES = frozenset({"unique_key", "in_window", "row_count", "freshness", "no_corrections"})
NULL_SHARE_PREFIX = "null_share_"
NAME = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
COLUMN_TYPE = re.compile(
    r"(BOOLEAN|TINYINT|SMALLINT|INTEGER|BIGINT|FLOAT|DOUBLE|VARCHAR|BLOB|DATE|TIMESTAMP|TIMESTAMPTZ|DECIMAL\(\d+, ?\d+\))"
)
CRON = re.compile(r"(@(hourly|daily|weekly|monthly|yearly)|\S+( +\S+){4})")


def _not_reserved(name: str) -> str:
    if name in RESERVED_NAMES:
        raise ValueError(f"{name!r} is reserved (reserved: {', '.join(sorted(RESERVED_NAMES))}); choose another name")
    return name


def _column(name: str) -> str:
    if name in RESERVED_COLUMNS:
        raise ValueError(f"column {name!r} is added by the quarantine; rename it at the source")
    return name


def _column_type(text: str) -> str:
    if not COLUMN_TYPE.fullmatch(text.upper()):
        raise ValueError(f"type {text!r} must match {COLUMN_TYPE.pattern}")
    return text.upper()


def _rule_name(name: str) -> str:
    if name in BUILT_IN_RULES or name.startswith(NULL_SHARE_PREFIX):
        raise ValueError(f"rule {name!r} is built in (it comes with every table); choose another name")
    return name


def _cron(text: str) -> str:
    if not CRON.fullmatch(text):
        raise ValueError(f"schedule {text!r} must be five cron fields, such as '0 6 * * 1', or @daily")
    return text


Name = Annotated[str, StringConstraints(pattern=NAME), AfterValidator(_not_reserved)]
Column = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(_column)]
ColumnType = Annotated[str, AfterValidator(_column_type)]
RuleName = Annotated[str, StringConstraints(pattern=NAME), AfterValidator(_rule_name)]
Cron = Annotated[str, AfterValidator(_cron)]
Severity = Literal["warn", "quarantine", "block"]
Verdict = Literal["warn", "block"]  # of a whole table: there is no row to set aside


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RowRule(_Spec):
    """A predicate that every row must keep."""

    name: RuleName = Field(description="Name of the check and of the rule in the quarantine.")
    sql: str = Field(description="A DuckDB predicate over one row; null counts as broken.", examples=["fare >= 0"])
    severity: Severity = Field(
        default="quarantine",
        description="warn: count; quarantine: set the row aside; block: any such row stops the publication.",
    )


class RowCount(_Spec):
    """How many rows a window (or the whole unpartitioned table) should have."""

    min: int = Field(default=0, ge=0, description="Fewest rows that are normal.")
    max: int | None = Field(default=None, ge=0, description="Most rows that are normal; none: any number.")
    severity: Verdict = Field(default="warn", description="warn: report; block: leave the table untouched.")

    @model_validator(mode="after")
    def _ordered(self) -> "RowCount":
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max {self.max} must be at least min {self.min}")
        return self


class NullShare(_Spec):
    """The largest share of nulls that is normal in a column."""

    column: str = Field(description="A declared column.")
    max: float = Field(ge=0, le=1, description="Largest normal share, from 0 to 1.")
    severity: Verdict = Field(default="warn", description="warn: report; block: leave the table untouched.")


class KnownAtSpec(_Spec):
    """When rows and cells could first be used, as DuckDB expressions over a row. Null means never."""

    row: str = Field(description="When the row itself is known.", examples=["ordered_at"])
    columns: dict[str, str] = Field(
        default={},
        description="Columns that are known at another time. If any is given, a column named neither here nor under "
        "`known_with_row` is known at the latest of all these times.",
        examples=[{"delivered_at": "delivered_at"}],
    )
    known_with_row: list[str] = Field(default=[], description="Columns that are known together with the row.")

    @model_validator(mode="after")
    def _named_once(self) -> "KnownAtSpec":
        if both := sorted(set(self.columns) & set(self.known_with_row)):
            raise ValueError(f"columns {both} are under both `columns` and `known_with_row`; keep one")
        return self


class TableSpec(_Spec):
    """One table of a source and its contract."""

    description: str = Field(description="What one row is.")
    key: list[Column] = Field(default=[], description="Columns that name a row; later duplicates go to quarantine.")
    columns: dict[Column, ColumnType] = Field(min_length=1, description="Every column with its DuckDB type, frozen.")
    known_at: KnownAtSpec | None = Field(
        default=None, description="When cells become known. Without it the table cannot feed features."
    )
    rules: list[RowRule] = Field(default=[], description="Predicates that every row must keep.")
    row_count: RowCount | None = Field(default=None, description="Normal number of rows.")
    null_share: list[NullShare] = Field(default=[], description="Normal shares of nulls.")
    freshness_days: float | None = Field(
        default=None, gt=0, description="The newest row must be this close to the end of the window, or to now."
    )
    time_column: str | None = Field(
        default=None, description="Column that dates a row. A partitioned source sets it to its partition column."
    )
    corrections: Literal["none"] = Field(
        default="none", description="none: rows are replaced without history, and a check warns when values change."
    )

    @model_validator(mode="after")
    def _declared(self) -> "TableSpec":
        known = self.known_at or KnownAtSpec(row="true")
        self._require_columns("key", self.key)
        self._require_columns("known_at.columns", known.columns)
        self._require_columns("known_at.known_with_row", known.known_with_row)
        self._require_columns("null_share", [share.column for share in self.null_share])
        self._require_columns("time_column", [self.time_column] if self.time_column else [])
        if known.columns and (late := [column for column in self.key if column not in known.known_with_row]):
            raise ValueError(f"key columns {late} must be under known_at.known_with_row: they are known with the row")
        names = [rule.name for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"rules {twice} are there more than once; give each its own name")
        return self

    def _require_columns(self, place: str, names: Iterable[str]) -> None:
        if unknown := [name for name in names if name not in self.columns]:
            raise ValueError(f"{place}: {unknown} must be among the declared columns: {', '.join(self.columns)}")


class IngestionSpec(_Spec):
    """A source, the tables that it fills, and their contracts."""

    name: Name = Field(description="Name of the source; its tables are `raw/<name>/<table>`.")
    description: str = Field(description="What the source is.")
    owners: list[str] = Field(default=[], description="E-mail addresses or `team:<name>`.", examples=[["team:data"]])
    source: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] = Field(
        description="`module:function` that returns a dlt source; called with (start, end) if partitioned, else with nothing.",
        examples=["dlt_pipelines.shop:shop"],
    )
    partitions: PartitionsSpec | None = Field(
        default=None, description="Windows of all its tables; none: whole tables."
    )
    tables: dict[Name, TableSpec] = Field(min_length=1, description="Tables by the name of their dlt resource.")
    schedule: Cron | None = Field(default=None, description="Cron expression in UTC; none: only when asked.")

    @model_validator(mode="after")
    def _dated(self) -> "IngestionSpec":
        for name, table in self.tables.items():
            if self.partitions is not None:
                self.tables[name] = _cut_by(self.partitions.column, name, table)
            elif table.freshness_days is not None and table.time_column is None:
                raise ValueError(f"tables.{name}: freshness_days needs time_column")
        return self


def _cut_by(column: str, name: str, table: TableSpec) -> TableSpec:
    if column not in table.columns or not table.columns[column].startswith(("TIMESTAMP", "DATE")):
        found = table.columns.get(column, "nothing")
        raise ValueError(
            f"tables.{name}: partitions.column {column!r} must be a declared date or timestamp; found {found}"
        )
    if table.time_column not in (None, column):
        raise ValueError(f"tables.{name}: time_column {table.time_column!r} must be the partition column {column!r}")
    return table.model_copy(update={"time_column": column})
