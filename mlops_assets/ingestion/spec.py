"""What a person writes about a source: where it is, its tables, its windows and its schedule.

Keep out: heavy imports; definitions load this module.
"""

from pydantic import Field, model_validator

from mlops_assets.contract.names import Cron, Name, Spec
from mlops_assets.contract.partitions import PartitionsSpec
from mlops_assets.contract.spec import TableSpec
from mlops_assets.ingestion.source_rules import disagreements
from mlops_assets.ingestion.source_spec import ExternalSource, Source

# The others would add a window's rows again when it is loaded again.
PARTITIONED_MODES = ("replace", "history", "in_place")


class ReconcileSpec(Spec):
    """When the source is read again in full, for what came later than `lag_days`."""

    look_back_days: float | None = Field(default=None, gt=0, description="How far back; none: everything.")
    schedule: Cron | None = Field(default=None, description="Cron expression in UTC; none: only when asked.")


class IngestionSpec(Spec):
    """A source, the tables that it fills, and their contracts."""

    name: Name = Field(description="Name of the source; its tables are `raw/<name>/<table>`.")
    description: str = Field(description="What the source is.")
    owners: list[str] = Field(default=[], description="E-mail addresses or `team:<name>`.", examples=[["team:data"]])
    source: Source
    partitions: PartitionsSpec | None = Field(
        default=None, description="Windows of all its tables; none: whole tables."
    )
    lag_days: float = Field(
        default=0,
        ge=0,
        description="How much later than their own time rows may arrive: each load looks back this far as well.",
    )
    reconcile: ReconcileSpec = Field(
        default=ReconcileSpec(), description="The full comparison with the source, `reconciliation/<name>`."
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
            if table.row_count is not None and table.row_count.history is not None and self.partitions is None:
                raise ValueError(f"tables.{name}: row_count.history needs partitions, whose windows are compared")
        return self

    @model_validator(mode="after")
    def _every_table_has_a_source(self) -> "IngestionSpec":
        described = getattr(self.source, "tables", None)
        if described is not None and set(described) != set(self.tables):
            raise ValueError(
                f"source.tables ({', '.join(described)}) must name the same tables as tables ({', '.join(self.tables)})"
            )
        is_external = isinstance(self.source, ExternalSource)
        for name, table in self.tables.items():
            if is_external:
                self.tables[name] = _in_place(name, table)
            elif table.publish == "in_place":
                raise ValueError(f"tables.{name}: publish 'in_place' is for the tables of an external source")
        if is_external and (self.lag_days or self.reconcile != ReconcileSpec()):
            raise ValueError("an external table is read in place, late rows with it; remove `lag_days` and `reconcile`")
        return self

    @model_validator(mode="after")
    def _source_and_tables_agree(self) -> "IngestionSpec":
        for disagreement in disagreements(self):
            raise ValueError(disagreement)
        return self


def _cut_by(column: str, name: str, table: TableSpec) -> TableSpec:
    if column not in table.columns or not table.columns[column].startswith(("TIMESTAMP", "DATE")):
        found = table.columns.get(column, "nothing")
        raise ValueError(
            f"tables.{name}: partitions.column {column!r} must be a declared date or timestamp; found {found}"
        )
    if table.time_column not in (None, column):
        raise ValueError(f"tables.{name}: time_column {table.time_column!r} must be the partition column {column!r}")
    if table.publish not in PARTITIONED_MODES:
        raise ValueError(
            f"tables.{name}: publish {table.publish!r} with partitions; required one of {PARTITIONED_MODES}: "
            "a window that is loaded again takes the place of what it was"
        )
    return table.model_copy(update={"time_column": column})


def _in_place(name: str, table: TableSpec) -> TableSpec:
    """Return a table as it is read in place: rows can be left out by a predicate alone."""
    if table.publish not in ("replace", "in_place"):
        raise ValueError(f"tables.{name}: an external table is read in place; remove `publish: {table.publish}`")
    if table.python is not None and table.python.severity == "quarantine":
        raise ValueError(
            f"tables.{name}.python: severity 'quarantine' for a table that is read in place; required warn or block, "
            "since only a rule in SQL can leave rows out there"
        )
    return table.model_copy(update={"publish": "in_place"})
