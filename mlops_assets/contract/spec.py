"""What a person writes about a table: its columns, its contract, how it is published, and when its cells become known.

Add here: keys of one table in an `Ingestion` file. Keep out: heavy imports; definitions load this module.
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from mlops_assets.contract.names import Column, ColumnType, Spec
from mlops_assets.contract.rules import AcceptedValues, NullShare, PythonCheck, Range, RowCount, RowRule, TableCheck

Publish = Literal["replace", "append", "history", "upsert", "in_place"]


class KnownAtSpec(Spec):
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


class TableSpec(Spec):
    """One table of a source and its contract."""

    description: str = Field(description="What one row is.")
    version: int = Field(default=1, ge=1, description="Version of this contract; raise it when it changes.")
    owners: list[str] = Field(default=[], description="Who answers for the table; none: the owners of the source.")
    key: list[Column] = Field(default=[], description="Columns that name a row; later duplicates go to quarantine.")
    columns: dict[Column, ColumnType] = Field(min_length=1, description="Every column with its DuckDB type, frozen.")
    new_columns: Literal["add", "ignore", "refuse"] = Field(
        default="add",
        description="What becomes of a column that nobody declared. add: publish it; ignore: leave it out, and say so; "
        "refuse: leave the table untouched.",
    )
    publish: Publish = Field(
        default="replace",
        description="replace: new rows take the place of the window's, or the table's. append: rows are events and are "
        "added. history: rows can be corrected; every version is kept with the time of its arrival. upsert: the newest "
        "row of a key takes the place of the older one. in_place: what an external table has; nothing is copied.",
    )
    newest_by: Column | None = Field(
        default=None, description="Column by which the newest of several rows with one key is told; upsert needs it."
    )
    known_at: KnownAtSpec | None = Field(
        default=None, description="When cells become known. Without it the table cannot feed features."
    )
    rules: list[RowRule] = Field(default=[], description="Predicates that every row must keep.")
    accepted_values: list[AcceptedValues] = Field(default=[], description="Columns with a closed list of values.")
    ranges: list[Range] = Field(default=[], description="Bounds of columns.")
    checks: list[TableCheck] = Field(default=[], description="Free SQL over the new rows as a whole.")
    python: PythonCheck | None = Field(default=None, description="A pandera schema; needs the extra `pandera`.")
    row_count: RowCount | None = Field(default=None, description="Normal number of rows.")
    null_share: list[NullShare] = Field(default=[], description="Normal shares of nulls.")
    freshness_days: float | None = Field(
        default=None, gt=0, description="The newest row must be this close to the end of the window, or to now."
    )
    time_column: str | None = Field(
        default=None, description="Column that dates a row. A partitioned source sets it to its partition column."
    )

    @model_validator(mode="after")
    def _declared(self) -> "TableSpec":
        known = self.known_at or KnownAtSpec(row="true")
        self._require_columns("key", self.key)
        self._require_columns("known_at.columns", known.columns)
        self._require_columns("known_at.known_with_row", known.known_with_row)
        for place in ("null_share", "accepted_values", "ranges"):
            self._require_columns(place, [one.column for one in getattr(self, place)])
        for place in ("time_column", "newest_by"):
            self._require_columns(place, filter(None, [getattr(self, place)]))
        if known.columns and (late := [column for column in self.key if column not in known.known_with_row]):
            raise ValueError(f"key columns {late} must be under known_at.known_with_row: they are known with the row")
        names = [one.name for one in (*self.rules, *self.accepted_values, *self.ranges, *self.checks, *self._python())]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"rules {twice} are there more than once; give each its own name")
        return self

    @model_validator(mode="after")
    def _publishable(self) -> "TableSpec":
        if self.publish in ("history", "upsert") and not self.key:
            raise ValueError(f"publish: {self.publish} needs `key`, the columns that name a row")
        if (self.newest_by is not None) != (self.publish == "upsert"):
            required = "needs" if self.publish == "upsert" else "takes no"
            raise ValueError(f"publish: {self.publish} {required} `newest_by`, the column that tells the newest row")
        if self.newest_by and self.known_at and not self.columns[self.newest_by].startswith("TIMESTAMP"):
            raise ValueError(
                f"newest_by {self.newest_by!r} must be a timestamp: with `known_at` it says when a row became what it is; "
                f"found {self.columns[self.newest_by]}"
            )
        return self

    def _python(self) -> list[PythonCheck]:
        return [self.python] if self.python else []

    def _require_columns(self, place: str, names: Iterable[str]) -> None:
        if unknown := [name for name in names if name not in self.columns]:
            raise ValueError(f"{place}: {unknown} must be among the declared columns: {', '.join(self.columns)}")
