"""Tables of a database as dlt resources: Arrow all the way, declared columns only, the window's rows or the new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.contract.types import SchemaChanged
from mlops_assets.errors import MlopsError
from mlops_assets.ingestion.sources.cursors import incremental

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from mlops_assets.ingestion.source_spec import SqlDatabaseSource, SqlTable
    from mlops_assets.ingestion.sources.reading import Reading


class DriverMissing(MlopsError):
    """The library that talks to a database is not installed."""

    def __init__(self, dialect: str, module: str) -> None:
        known = 'pip install "mlops-assets[postgres]"' if dialect == "postgresql" else f"pip install {module}"
        super().__init__(
            f"A {dialect} database",
            found=f"no module {module!r}",
            required="the driver that its URL names",
            remedy=f"{known}, or name another driver in the URL, as in `postgresql+psycopg://`.",
        )


class UrlUnreadable(MlopsError):
    """A secret is not the address of a database."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Secret {name}",
            found="no address of a database (it is not shown)",
            required="dialect+driver://user:password@host:port/database",
            remedy="Correct the secret. Characters such as `@` and `/` in a password are written as %40 and %2F.",
        )


def sql_resources(source: SqlDatabaseSource, reading: Reading) -> list[Any]:
    """Return a dlt resource for each table; its columns are looked up at once, its rows are not."""
    engine = _engine(source.url, reading)
    return [_resource(name, source.tables[name], source, engine, reading) for name in reading.tables]


def _engine(name: str, reading: Reading) -> sa.Engine:
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = sa.make_url(reading.secrets.read(name))
    except (ArgumentError, ValueError):
        raise UrlUnreadable(name) from None
    if url.password:
        reading.secrets.add(str(url.password))
    try:
        return sa.create_engine(url, poolclass=sa.NullPool)  # nothing stays open after a load
    except ModuleNotFoundError as error:
        raise DriverMissing(url.get_backend_name(), error.name or str(error)) from error
    except NoSuchModuleError as error:
        raise DriverMissing(url.get_backend_name(), url.drivername) from error


def _resource(name: str, table: SqlTable, source: SqlDatabaseSource, engine: sa.Engine, reading: Reading) -> Any:
    import sqlalchemy as sa
    from dlt.sources.sql_database import sql_table

    metadata = sa.MetaData(schema=source.db_schema)
    there = sa.Table(table.table or name, metadata, autoload_with=engine, resolve_fks=False)
    columns = _columns(name, there, reading)
    resource = sql_table(
        engine,
        table=there.name,
        metadata=metadata,
        backend="pyarrow",
        chunk_size=source.chunk_rows,
        reflection_level="full_with_precision",
        included_columns=list(columns.values()),
        query_adapter_callback=_in_window(columns, reading),
        incremental=_cursor(name, table, columns, reading),
    )
    return resource.with_name(name)


def _columns(name: str, there: sa.Table, reading: Reading) -> dict[str, str]:
    """Return the database's name of each declared column."""
    found = {reading.normalized(column.name): column.name for column in there.columns}
    declared = reading.spec.tables[name].columns
    for column, kind in declared.items():
        if column not in found:
            raise SchemaChanged(name, column, found=f"only {', '.join(found)}", required=kind)
    return {column: found[column] for column in declared}


def _cursor(name: str, table: SqlTable, columns: dict[str, str], reading: Reading) -> Any:
    if table.cursor is None:
        return None
    column = reading.normalized(table.cursor)
    spec = reading.spec.tables[name]
    cursor = incremental(columns[column], spec, spec.columns[column], lag_days=reading.lag_days)
    cursor.primary_key = tuple(columns.values())  # or dlt would tell rows by the key that it finds in the database
    return cursor


def _in_window(columns: dict[str, str], reading: Reading) -> Callable[[Any, Any], Any] | None:
    """Return what narrows a query to the window; a column without a zone is in UTC, whatever the session's zone."""
    partitions, window = reading.spec.partitions, reading.window
    if partitions is None or window is None:
        return None

    def narrowed(query: Any, table: sa.Table) -> Any:
        column = table.c[columns[partitions.column]]
        start, end = (_bound(at, column) for at in (window.start, window.end))
        return query.where(column >= start, column < end)

    return narrowed


def _bound(at: Any, column: Any) -> Any:
    import sqlalchemy as sa

    if isinstance(column.type, sa.Date):
        return at.date()
    return at if getattr(column.type, "timezone", False) else at.replace(tzinfo=None)
