"""Files that are configured in a file: on this disk and in a bucket."""

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from ingestion.sources.world import COLUMNS, Loads, days, order, spec_of
from pyarrow import csv, fs, parquet

from mlops_assets.contract.types import SchemaChanged
from mlops_assets.ingestion.sources.files import NoFiles
from mlops_assets.ingestion.sources.readers import FileUnreadable

ORDERS = [order(number, 1 + number) for number in range(5)]
SCHEMA = pa.schema(
    [
        ("order_id", pa.int64()),
        ("placed_at", pa.timestamp("us", "UTC")),
        ("amount", pa.float64()),
        ("city", pa.string()),
    ]
)


def encoded(form: str, rows: list[dict[str, Any]]) -> bytes:
    if form == "jsonl":
        return "".join(json.dumps({**row, "placed_at": row["placed_at"].isoformat()}) + "\n" for row in rows).encode()
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist(rows, SCHEMA)
    {"csv": csv.write_csv, "parquet": parquet.write_table}[form](table, sink)
    return sink.getvalue().to_pybytes()


class Folder:
    """A place for files: a folder or a bucket."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.store, self.root = fs.FileSystem.from_uri(url) if "://" in url else (fs.LocalFileSystem(), url)

    def write(self, name: str, content: bytes) -> None:
        path = f"{self.root}/{name}"
        self.store.create_dir(path.rsplit("/", 1)[0])
        with self.store.open_output_stream(path, compression=None) as stream:
            stream.write(content)


@pytest.fixture(params=["disk", pytest.param("bucket", marks=pytest.mark.service)])
def folder(request, tmp_path):
    return Folder(request.getfixturevalue("bucket") if request.param == "bucket" else str(tmp_path / "files"))


@pytest.fixture
def disk(tmp_path) -> Folder:
    return Folder(str(tmp_path / "files"))


@pytest.fixture
def loads(tmp_path):
    def of(folder: Folder, form: str = "jsonl", glob: str = "orders/*", **keys: Any) -> Loads:
        own = {key: keys.pop(key) for key in ("only_new", "may_be_absent", "delimiter") if key in keys}
        table = {"glob": glob, "format": form, **own}
        source = {"type": "filesystem", "url": folder.url, "tables": {"orders": table}}
        return Loads(tmp_path / "work", spec_of(source, **keys))

    return of


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_files_of_every_format_are_read(folder, loads, form):
    empty = [{**order(9, 9), "amount": None, "city": None}]
    folder.write(f"orders/a.{form}", encoded(form, ORDERS))
    folder.write(f"orders/deep/b.{form}", encoded(form, empty))
    folder.write("other/c.txt", b"no order")
    assert loads(folder, form, f"orders/**/*.{form}").rows() == [*ORDERS, *empty]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_compressed_text_is_read(folder, loads, form):
    folder.write(f"orders/a.{form}.gz", gzip.compress(encoded(form, ORDERS)))
    assert loads(folder, form).rows() == ORDERS


def test_a_window_reads_the_files_of_its_days(folder, loads):
    for row in ORDERS:
        folder.write(f"orders/{row['placed_at']:%Y/%m/%d}/part-0.jsonl", encoded("jsonl", [row]))
    following = loads(folder, glob="orders/%Y/%m/%d/*.jsonl", partitioned=True)
    assert following.ids(window=days(2)) == [1]
    assert following.ids(window=days(2, 4)) == [1, 2, 3]
    with pytest.raises(NoFiles, match=r"none that match orders/2024/03/09/\*\.jsonl below"):
        following.load(window=days(9))
    absent = loads(folder, glob="orders/%Y/%m/%d/*.jsonl", partitioned=True, may_be_absent=True)
    assert absent.ids(window=days(9)) == []


def test_files_that_are_not_of_one_window_give_the_rows_of_each(folder, loads):
    folder.write("orders/all.jsonl", encoded("jsonl", [*ORDERS, order(8, 3, hour=0), order(9, 4, hour=0)]))
    assert loads(folder, partitioned=True).ids(window=days(3)) == [2, 8]


def test_a_row_of_another_day_in_the_file_of_a_day_is_not_hidden(disk, loads):
    """The contract sets it aside, with its reason; a filter here would lose it without a word."""
    disk.write("orders/2024-03-02.jsonl", encoded("jsonl", ORDERS[:2]))
    assert loads(disk, glob="orders/%Y-%m-%d.jsonl", partitioned=True).ids(window=days(2)) == [0, 1]


def test_the_next_load_reads_new_and_changed_files_only(folder, loads):
    folder.write("orders/a.jsonl", encoded("jsonl", ORDERS[:1]))
    folder.write("orders/b.jsonl", encoded("jsonl", ORDERS[1:2]))
    following = loads(folder, only_new=True, publish="append")
    first = following.load()
    assert (first.tables["orders"].num_rows, first.complete) == (2, {"orders"})
    second = following.load()
    assert (second.tables["orders"].num_rows, second.complete) == (0, set())
    folder.write("orders/c.jsonl", encoded("jsonl", ORDERS[2:3]))
    folder.write("orders/a.jsonl", encoded("jsonl", [ORDERS[0], ORDERS[3]]))
    assert following.ids() == [0, 2, 3]
    assert following.ids() == []
    assert following.ids(full=True) == [0, 1, 2, 3]


def test_a_file_that_grows_within_the_resolution_of_its_time_is_read_again(disk, loads):
    file = Path(disk.root, "orders/a.jsonl")
    following = loads(disk, only_new=True, publish="append")
    for rows in (ORDERS[:1], ORDERS[:2]):
        disk.write("orders/a.jsonl", encoded("jsonl", rows))
        os.utime(file, (1_700_000_000, 1_700_000_000))
        assert following.rows() == rows
    assert following.ids() == []


def test_a_file_that_arrives_with_an_older_time_needs_lag(disk, loads):
    disk.write("orders/a.jsonl", encoded("jsonl", ORDERS[:1]))
    plain, lagging = (loads(disk, only_new=True, publish="append", lag_days=lag) for lag in (0, 1))
    plain.load(), lagging.load()
    disk.write("orders/b.jsonl", encoded("jsonl", ORDERS[1:2]))
    earlier = Path(disk.root, "orders/a.jsonl").stat().st_mtime - 3600  # as `cp -p` and `rsync -t` leave it
    os.utime(Path(disk.root, "orders/b.jsonl"), (earlier, earlier))
    assert (plain.ids(), lagging.ids()) == ([], [0, 1])


def test_a_failed_load_reads_the_same_files_again(disk, loads):
    disk.write("orders/a.jsonl", encoded("jsonl", ORDERS[:1]))
    disk.write("orders/b.jsonl", b'{"order_id": "none"}\n')
    following = loads(disk, only_new=True, publish="append")
    with pytest.raises(FileUnreadable):
        following.load()
    disk.write("orders/b.jsonl", encoded("jsonl", ORDERS[1:2]))
    assert following.ids() == [0, 1]


@pytest.mark.parametrize("may_be_absent", [False, True])
def test_no_file_at_all_is_an_error_unless_declared(folder, loads, may_be_absent):
    folder.write("elsewhere/a.jsonl", b"")
    following = loads(folder, may_be_absent=may_be_absent)
    if may_be_absent:
        assert following.ids() == []
    else:
        with pytest.raises(NoFiles, match="required at least one"):
            following.load()


def test_a_relative_folder_counts_from_the_root_of_the_project(tmp_path, monkeypatch, loads):
    (tmp_path / "workspace.yaml").touch()
    (tmp_path / "deep").mkdir()
    Folder(str(tmp_path / "data")).write("orders/a.jsonl", encoded("jsonl", ORDERS))
    monkeypatch.chdir(tmp_path / "deep")
    relative = Folder(str(tmp_path))
    relative.url = "data"
    assert loads(relative).rows() == ORDERS


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_text_is_taken_for_what_the_contract_says(disk, loads, form):
    columns = {"id": "BIGINT", "code": "VARCHAR", "price": "DECIMAL(10, 2)", "day": "DATE", "ok": "BOOLEAN"}
    values = [
        {"id": 1, "code": "007", "price": "1.50", "day": "2024-03-01", "ok": True},
        {"id": 2, "code": "NA", "price": None, "day": None, "ok": False},
        {"id": 3, "code": None, "price": "2", "day": "2024-03-02", "ok": None},
    ]
    if form == "jsonl":
        text = "".join(json.dumps(row) + "\n" for row in values)
    else:
        text = 'id,code,price,day,ok\n1,007,1.50,2024-03-01,true\n2,"NA",,,false\n3,,2,2024-03-02,\n'
    disk.write(f"orders/a.{form}", text.encode())
    table = loads(disk, form, columns=columns, key=["id"]).load().tables["orders"]
    assert [[str(value) for value in row.values()] for row in table.to_pylist()] == [
        ["1", "007", "1.50", "2024-03-01", "True"],
        ["2", "NA", "None", "None", "False"],
        ["3", "None", "2.00", "2024-03-02", "None"],
    ]


def test_nested_values_and_undeclared_columns_of_json_are_kept_as_text(disk, loads):
    disk.write("orders/a.jsonl", b'{"orderId": 1, "lines": [{"sku": "a"}]}\n{"orderId": 2, "note": 7}\n')
    rows = loads(disk, columns={"order_id": "BIGINT", "lines": "VARCHAR"}).rows()
    assert rows == [
        {"order_id": 1, "lines": '[{"sku":"a"}]', "note": None},
        {"order_id": 2, "lines": None, "note": "7"},
    ]


def test_a_csv_may_have_other_separators_and_lines_within_a_value(disk, loads):
    disk.write("orders/a.csv", b'orderId;city\n1;"New\nYork"\n2;"a;b"\n')
    rows = loads(disk, "csv", columns={"order_id": "BIGINT", "city": "VARCHAR"}, delimiter=";").rows()
    assert rows == [{"order_id": 1, "city": "New\nYork"}, {"order_id": 2, "city": "a;b"}]


def test_more_digits_than_a_microsecond_are_cut(disk, loads):
    for form, text in (("csv", "order_id,placed_at\n1,{}\n"), ("jsonl", '{{"order_id": 1, "placed_at": "{}"}}\n')):
        disk.write(f"{form}/a", text.format("2024-03-01T12:00:00.123456789+01:00").encode())
        columns = {"order_id": "BIGINT", "placed_at": "TIMESTAMPTZ"}
        assert loads(disk, form, f"{form}/*", columns=columns).rows()[0]["placed_at"] == datetime(
            2024, 3, 1, 11, 0, 0, 123456, tzinfo=UTC
        )


@pytest.mark.parametrize(
    ("form", "content", "error", "message"),
    [
        ("csv", b"order_id,placed_at,amount\n1,2024-03-01T00:00:00Z,1\n", SchemaChanged, "column city: found only"),
        ("csv", b"order_id,placed_at,amount,city\none,,1,x\n", FileUnreadable, "a.csv: found .*'one'"),
        ("csv", b"order_id,placed_at,amount,city\n1,2024-03-01 12:00:00,1,x\n", FileUnreadable, "expected a zone"),
        ("csv", b"order_id,placed_at,amount,city\n1,2\n", FileUnreadable, "Expected 4 columns, got 2"),
        ("jsonl", b'{"order_id": 1.5, "placed_at": null, "amount": 1, "city": "x"}\n', FileUnreadable, "'1.5'"),
        ("jsonl", b'{"order_id": 1,\n', FileUnreadable, "a.jsonl: found"),
        ("parquet", b"no parquet", FileUnreadable, "a.parquet: found"),
    ],
)
def test_a_file_that_does_not_fit_is_named(disk, loads, form, content, error, message):
    disk.write(f"orders/a.{form}", content)
    with pytest.raises(error, match=message):
        loads(disk, form).load()


def test_a_parquet_column_of_another_type_is_named(disk, loads):
    disk.write("orders/a.parquet", encoded("parquet", ORDERS))
    with pytest.raises(SchemaChanged, match="column city: found type string; required BIGINT"):
        loads(disk, "parquet", columns={**COLUMNS, "city": "BIGINT"}).load()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_empty_file_has_no_rows(disk, loads, form):
    disk.write(f"orders/a.{form}", b"")
    disk.write(f"orders/b.{form}", encoded(form, ORDERS))
    assert loads(disk, form).rows() == ORDERS
