"""One file as Arrow: Parquet as it is, text in the declared types, or an error that names the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.contract.types import arrow_type, conform
from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from mlops_assets.ingestion.source_spec import FileTable
    from mlops_assets.ingestion.sources.reading import Reading

BATCH_ROWS = 65_536


class FileUnreadable(MlopsError):
    """A file has another form than the table's, or values of another type."""

    def __init__(self, file: str, format: str, cause: Exception) -> None:  # noqa: A002  the word of the YAML
        super().__init__(
            f"File {file}",
            found=" ".join(str(cause).split()),
            required=f"{format} with the declared columns in their types",
            remedy="Mend the file or the contract. Times without a zone are TIMESTAMP, with one TIMESTAMPTZ.",
        )


def read_file(item: Any, table: FileTable, name: str, reading: Reading) -> Iterator[pa.Table]:
    """Yield the rows of a file, under declared names and types; those of other windows only if its name is one window's.

    Raises:
        FileUnreadable: It cannot be read, or a value does not fit its column.
        SchemaChanged: A declared column is absent or of another type.
    """
    import duckdb
    import pyarrow as pa

    read = {"parquet": _parquet, "csv": _csv, "jsonl": _jsonl}[table.format]
    columns = reading.spec.tables[name].columns
    try:
        for part in read(item, table, _Names(columns, reading)):
            renamed = part.rename_columns([reading.normalized(column) for column in part.column_names])
            yield _of_window(conform(renamed, columns, name=name), table, reading)
    except (pa.ArrowException, duckdb.Error) as error:
        raise FileUnreadable(item["file_url"], table.format, error) from error


class _Names:
    """Arrow types of columns, by their name in a file."""

    def __init__(self, declared: Mapping[str, str], reading: Reading) -> None:
        self._declared, self._reading = declared, reading

    def type_of(self, column: str) -> pa.DataType:
        import pyarrow as pa

        kind = self._declared.get(self._reading.normalized(column))
        return arrow_type(kind) if kind else pa.string()


def _of_window(rows: pa.Table, table: FileTable, reading: Reading) -> pa.Table:
    import pyarrow as pa
    from pyarrow.dataset import field

    partitions, window = reading.spec.partitions, reading.window
    if partitions is None or window is None or "%" in table.glob:
        return rows
    at = field(partitions.column).cast(pa.timestamp("us", "UTC"))
    return rows.filter((at >= window.start) & (at < window.end))


def _parquet(item: Any, table: FileTable, names: _Names) -> Iterator[pa.Table]:  # noqa: ARG001  one signature for all
    import pyarrow as pa
    from pyarrow import parquet

    with item.open() as file:
        for batch in parquet.ParquetFile(file).iter_batches(batch_size=BATCH_ROWS):
            yield pa.Table.from_batches([batch])


def _csv(item: Any, table: FileTable, names: _Names) -> Iterator[pa.Table]:
    import pyarrow as pa
    from pyarrow import csv

    if item["size_in_bytes"] == 0:
        return
    parse = csv.ParseOptions(delimiter=table.delimiter, newlines_in_values=True)
    with item.open() as file:
        header = csv.open_csv(file, parse_options=parse).schema.names
    kinds = {column: names.type_of(column) for column in header}
    as_read = {column: pa.string() if pa.types.is_timestamp(kind) else kind for column, kind in kinds.items()}
    with item.open() as file:
        convert = csv.ConvertOptions(column_types=as_read)
        for batch in csv.open_csv(file, parse_options=parse, convert_options=convert):
            yield _typed(batch, names)


def _jsonl(item: Any, table: FileTable, names: _Names) -> Iterator[pa.Table]:  # noqa: ARG001  one signature for all
    from mlops_assets.lake.engine import connect
    from mlops_assets.lake.remote import register
    from mlops_assets.lake.uris import is_local, local_path

    url = item["file_url"]
    with connect() as con:
        if not is_local(url):
            register(con, url)
        place = str(local_path(url)) if is_local(url) else url
        lines = con.from_query(
            "select * from read_json($place, format='newline_delimited', maximum_depth=1, sample_size=-1)",
            params={"place": place},
        )
        texts = ", ".join(f'"{column}"->>\'$\' as "{column}"' for column in lines.columns)
        for batch in lines.select(texts).to_arrow_reader(BATCH_ROWS):
            yield _typed(batch, names)


def _typed(batch: pa.RecordBatch, names: _Names) -> pa.Table:
    import pyarrow as pa

    columns = zip(batch.schema.names, batch.columns, strict=True)
    return pa.table({column: _parsed(values, names.type_of(column)) for column, values in columns})


def _parsed(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return text as values of a type; empty text is none, but "NA" may be a city."""
    import pyarrow as pa
    from pyarrow.compute import ReplaceSubstringOptions, call_function

    if not pa.types.is_string(values.type):
        return values
    text = call_function("if_else", [call_function("equal", [values, ""]), pa.scalar(None, values.type), values])
    if pa.types.is_timestamp(kind):  # the lake keeps microseconds
        cut = ReplaceSubstringOptions(pattern=r"(\.\d{6})\d+", replacement=r"\1")
        text = call_function("replace_substring_regex", [text], cut)
    return text.cast(kind)
