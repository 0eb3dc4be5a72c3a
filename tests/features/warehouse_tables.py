"""Arrow tables put into a PostgreSQL database, and what a query gives there."""

import io
from typing import Any

import psycopg
import pyarrow as pa
from psycopg.rows import dict_row
from pyarrow import csv, types


def load(url: str, name: str, table: pa.Table) -> None:
    """Create `schema.table` with the rows of an Arrow table."""
    schema, _ = name.split(".")
    columns = ", ".join(f'"{field.name}" {_type(field.type)}' for field in table.schema)
    data = io.BytesIO()
    csv.write_csv(table, data)
    with _connect(url) as con, con.cursor() as cursor:
        cursor.execute(f"create schema if not exists {schema}")
        cursor.execute(f"create table {name} ({columns})")
        with cursor.copy(f"copy {name} from stdin (format csv, header)") as copy:
            copy.write(data.getvalue())
        cursor.execute(f"analyze {name}")


def run(url: str, query: str, *, zone: str = "UTC") -> list[dict[str, Any]]:
    """Return the rows of a query in a session of that time zone."""
    with _connect(url) as con, con.cursor(row_factory=dict_row) as cursor:
        cursor.execute(f"set time zone '{zone}'")
        return cursor.execute(query).fetchall()


def _connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("postgresql+psycopg", "postgresql"))


def _type(kind: pa.DataType) -> str:
    if types.is_timestamp(kind):
        return "timestamptz"
    if types.is_boolean(kind):
        return "boolean"
    if types.is_integer(kind):
        return "integer" if kind.bit_width <= 32 else "bigint"
    return "double precision" if types.is_floating(kind) else "text"
