"""Where rows come from: a Python function, a REST API, a SQL database, files, or a table that is read in place.

Keep out: heavy imports; definitions load this module.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from mlops_assets.contract.names import ImportPath, Name, Spec
from mlops_assets.ingestion.rest_spec import RestApiSource, SecretName


class SqlTable(Spec):
    """One table of a database."""

    table: str | None = Field(default=None, description="Its name there; none: the same name.")
    cursor: str | None = Field(
        default=None,
        description="Column that grows; later loads read only rows at or after its last value. For sources without "
        "partitions: with them, the window says which rows.",
    )


class SqlDatabaseSource(Spec):
    """Tables of any database that SQLAlchemy reaches."""

    type: Literal["sql_database"] = Field(description="Kind of source.")
    url: SecretName = Field(description="Name of the secret that holds the SQLAlchemy URL.")
    db_schema: str | None = Field(default=None, description="Schema of the tables; none: the default one.")
    chunk_rows: int = Field(default=50_000, gt=0, description="Rows fetched at a time.")
    tables: dict[Name, SqlTable] = Field(min_length=1, description="The tables to read.")


class FileTable(Spec):
    """The files of one table."""

    glob: str = Field(
        description="Pattern below `url`; with partitions it may hold `%Y`, `%m`, `%d`, `%H` of a window's start.",
        examples=["orders/*.parquet", "orders/%Y/%m/%d/*.csv"],
    )
    format: Literal["parquet", "csv", "jsonl"] = Field(
        description="Format of every file; csv has a header, and csv and jsonl may be compressed (.gz)."
    )
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="csv: what separates values.")
    may_be_absent: bool = Field(default=False, description="No matching file means no rows; else it is an error.")
    only_new: bool = Field(
        default=False, description="Read only files modified since the last load (sources without partitions)."
    )


class FilesystemSource(Spec):
    """Files in a folder or a bucket."""

    type: Literal["filesystem"] = Field(description="Kind of source.")
    url: str = Field(description="A folder (relative: to the project's root) or `s3://bucket/prefix`.")
    tables: dict[Name, FileTable] = Field(min_length=1, description="The files of each table.")


class FeastTable(Spec):
    """The history of one Feast feature view."""

    view: str = Field(description="Name of the feature view.")


class FeastSource(Spec):
    """Feature views of a Feast repository. A row has the join keys, the features and two times.

    `event_timestamp` is Feast's; `created_timestamp` is there if the view's source declares one.
    """

    type: Literal["feast"] = Field(description="Kind of source.")
    repo: str = Field(description="Folder with `feature_store.yaml` (relative: to the project's root).")
    tables: dict[Name, FeastTable] = Field(min_length=1, description="The feature views to read.")


class ExternalTable(Spec):
    """A table that somebody else writes."""

    uri: str | None = Field(default=None, description="Place of the Delta table, or of the Parquet file or folder.")
    asset: str | None = Field(
        default=None,
        description="Key of the Dagster asset that writes it, as `a/b`; without `uri` its `dagster/uri` metadata says where.",
    )
    format: Literal["delta", "parquet"] = Field(default="delta", description="Format of the table.")

    @model_validator(mode="after")
    def _somewhere(self) -> "ExternalTable":
        if self.uri is None and self.asset is None:
            raise ValueError("an external table must have `uri`, `asset` or both")
        return self


class ExternalSource(Spec):
    """Tables that are read where they are: nothing is copied."""

    type: Literal["external"] = Field(description="Kind of source.")
    tables: dict[Name, ExternalTable] = Field(min_length=1, description="Where each table is.")


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "python"
    return value.get("type") if isinstance(value, dict) else getattr(value, "type", None)


PythonSource = Annotated[ImportPath, Tag("python")]
Source = Annotated[
    PythonSource
    | Annotated[RestApiSource, Tag("rest_api")]
    | Annotated[SqlDatabaseSource, Tag("sql_database")]
    | Annotated[FilesystemSource, Tag("filesystem")]
    | Annotated[FeastSource, Tag("feast")]
    | Annotated[ExternalSource, Tag("external")],
    Discriminator(_kind),
    Field(
        description="`module:function` of a dlt source, called with (start, end) if partitioned, else with nothing; or a "
        "mapping with `type`: rest_api, sql_database, filesystem, feast or external.",
        examples=["dlt_pipelines.shop:shop"],
    ),
]
