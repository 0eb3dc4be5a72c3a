"""Tables of somebody else's, read where they are: written by pandas, DuckDB and deltalake, never by us."""

import json
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from mlops_assets.contract.pointers import CopiedAndInPlace, FilesChanged, NoSuchPointer
from mlops_assets.contract.published import FilesGone, resolve
from mlops_assets.contract.types import SchemaChanged
from mlops_assets.contract.verdict import read_verdict
from mlops_assets.errors import MlopsError
from mlops_assets.features.sources import open_sources
from mlops_assets.ingestion.external import read_in_place
from mlops_assets.ingestion.ingest import WindowsMismatch
from mlops_assets.ingestion.outcome import Published
from mlops_assets.ingestion.requarantine import ReadInPlace, requarantine
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.lake.delta import TableNotFound, UnhandledFeature
from mlops_assets.lake.engine import connect
from mlops_assets.lake.foreign import DeltaReadAsParquet, NoParquetFiles
from mlops_assets.lake.tables import overwrite, read
from mlops_assets.lake.windows import Window

NOW = datetime(2024, 4, 1, tzinfo=UTC)
COLUMNS = {"order_id": "BIGINT", "placed_at": "TIMESTAMPTZ", "amount": "DOUBLE", "city": "VARCHAR"}
POSITIVE = {"name": "amount_positive", "sql": "amount > 0", "severity": "quarantine"}


def order(number: int, day: int, amount: float | None = 1.0, city: str = "Oslo", hour: int = 12) -> dict[str, Any]:
    return {
        "order_id": number,
        "placed_at": datetime(2024, 3, day, hour, tzinfo=UTC),
        "amount": amount,
        "city": city,
    }


def orders(*rows: dict[str, Any]) -> pa.Table:
    types = [("order_id", pa.int64()), ("placed_at", pa.timestamp("us", "UTC")), ("amount", pa.float64())]
    return pa.Table.from_pylist(list(rows), pa.schema([*types, ("city", pa.string())]))


def day(number: int) -> Window:
    start = datetime(2024, 3, number, tzinfo=UTC)
    return Window(f"2024-03-{number:02}", start, start + timedelta(days=1))


class Elsewhere:
    """A table outside of the lake, and the lake that points at it."""

    def __init__(self, root: str) -> None:
        self.lake, self.uri = f"{root}/lake/dev", f"{root}/theirs/orders"

    def spec(self, *, partitioned: bool = True, format: str = "delta", **table: Any) -> IngestionSpec:  # noqa: A002
        declared = {"description": "One order.", "key": ["order_id"], "columns": COLUMNS, **table}
        return IngestionSpec.model_validate(
            {
                "name": "shop",
                "description": "A shop.",
                "source": {"type": "external", "tables": {"orders": {"uri": self.uri, "format": format}}},
                "partitions": {"every": "day", "column": "placed_at", "start": date(2024, 3, 1)}
                if partitioned
                else None,
                "tables": {"orders": declared},
            }
        )

    def read_in_place(self, *days: int, **spec: Any) -> list[Published]:
        declared = self.spec(partitioned=bool(days), **spec)
        return read_in_place(
            declared, "orders", self.uri, windows=list(map(day, days)), lake=self.lake, load_id="run", now=NOW
        )

    def write_delta(self, *rows: dict[str, Any], mode: str = "append", **options: Any) -> int:
        write_deltalake(self.uri, orders(*rows), mode=mode, **options)
        return DeltaTable(self.uri).version()

    def rows(self, version: int | None = None) -> pa.Table:
        """Return the rows as a feature view reads them, in order of number."""
        with connect() as con:
            open_sources(con, self.lake, {"o": "shop/orders"}, versions={"shop/orders": version} if version else None)
            return con.sql("from o order by order_id").to_arrow_table()

    def numbers(self, version: int | None = None) -> list[int]:
        return self.rows(version)["order_id"].to_pylist()

    def verdict(self, window: str | None) -> dict[str, Any] | None:
        return read_verdict(self.lake, "shop", "orders", window)


@pytest.fixture
def there(tmp_path: Path) -> Elsewhere:
    (tmp_path / "theirs").mkdir()
    return Elsewhere(str(tmp_path))


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# What is read, and that nothing is copied


def test_a_delta_table_is_read_where_it_is_and_no_row_is_copied(there):
    version = there.write_delta(order(1, 1), order(2, 2))

    (published,) = there.read_in_place()

    assert (published.rows, published.version, published.uri, published.blocked) == (2, 1, there.uri, False)
    assert there.rows().to_pylist() == orders(order(1, 1), order(2, 2)).to_pylist()
    assert not list(Path(there.lake, "raw").rglob("*.parquet"))
    pointer = json.loads(Path(there.lake, "raw/shop/orders/_external/1.json").read_text())["value"]
    assert (pointer["uri"], pointer["delta_version"]) == (there.uri, version)


def pandas_folder(there: Elsewhere) -> None:
    """Nanoseconds and a categorical, as pandas has them."""
    frame = pd.DataFrame([order(1, 1), order(2, 2)])
    frame["placed_at"] = frame["placed_at"].astype("datetime64[ns, UTC]")
    frame["city"] = frame["city"].astype("category")
    Path(there.uri).mkdir()
    frame.iloc[:1].to_parquet(f"{there.uri}/one.parquet")
    frame.iloc[1:].to_parquet(f"{there.uri}/two.parquet")


def pandas_partitions(there: Elsewhere) -> None:
    """`city=Oslo` in the path instead of a column."""
    pd.DataFrame([order(1, 1), order(2, 2)]).to_parquet(there.uri, partition_cols=["city"])


def duckdb_partitions(there: Elsewhere) -> None:
    """Narrower types, and `placed_on=...` in the path beside what is declared."""
    con = duckdb.connect()
    con.register("o", orders(order(1, 1), order(2, 2)))
    con.execute(f"""
        copy (select order_id::integer as order_id, placed_at, amount::float as amount, city from o)
        to '{there.uri}' (format parquet, partition_by (city), write_partition_columns)""")


def one_file(there: Elsewhere) -> None:
    pq.write_table(orders(order(1, 1), order(2, 2)), there.uri)


def spark_like(there: Elsewhere) -> None:
    """What other tools leave beside the data is no data."""
    Path(there.uri).mkdir()
    pq.write_table(orders(order(1, 1)), f"{there.uri}/part-00000.snappy.parquet")
    pq.write_table(orders(order(2, 2)), f"{there.uri}/part-00001.snappy.parquet")
    Path(there.uri, "_SUCCESS").touch()
    Path(there.uri, ".part-00000.crc").write_bytes(b"x")
    Path(there.uri, "_temporary").mkdir()
    pq.write_table(orders(order(3, 3)), f"{there.uri}/_temporary/part-00002.parquet")


@pytest.mark.parametrize("write", [pandas_folder, pandas_partitions, duckdb_partitions, one_file, spark_like])
@pytest.mark.parametrize("days", [(), (1, 2)], ids=["whole", "by window"])
def test_parquet_of_other_writers_is_read_in_the_declared_types(there, write, days):
    write(there)
    before = files_below(Path(there.uri).parent)

    published = there.read_in_place(*days, format="parquet")

    assert sum(one.rows for one in published) == 2
    found = there.rows()
    assert found.select(list(COLUMNS)).to_pylist() == orders(order(1, 1), order(2, 2)).to_pylist()
    assert found.select(list(COLUMNS)).schema == orders().schema
    assert files_below(Path(there.uri).parent) == before


def test_partition_columns_of_a_delta_table_are_columns(there):
    rows = [order(1, 1, city="São Paulo"), order(2, 1, city="a/b=c"), order(3, 2, city=None), order(4, 2, city="Oslo")]
    there.write_delta(*rows, partition_by=["city"])

    there.read_in_place(1, 2, rules=[{"name": "no_oslo", "sql": "city is null or city <> 'Oslo'"}])

    assert there.rows().to_pylist() == orders(*rows[:3]).to_pylist()


def test_a_column_that_came_later_is_null_in_the_files_before(there):
    write_deltalake(there.uri, orders(order(1, 1)).drop_columns("city"))
    write_deltalake(there.uri, orders(order(2, 2)), mode="append", schema_mode="merge")

    there.read_in_place()

    assert there.rows()["city"].to_pylist() == [None, "Oslo"]


# The contract


def test_rows_that_break_a_quarantine_rule_are_copied_to_quarantine_and_left_out_at_read(there):
    there.write_delta(order(1, 1), order(2, 1, amount=-5.0), order(3, 1, amount=None), order(4, 2))

    one, other = there.read_in_place(1, 2, rules=[POSITIVE])

    assert (one.rows, one.quarantined_rows, other.rows, other.quarantined_rows) == (1, 2, 1, 0)
    assert there.numbers() == [1, 4]
    aside = read(f"{there.lake}/quarantine/shop/orders")
    assert sorted(aside["order_id"].to_pylist()) == [2, 3]
    assert aside["failed_rules"].to_pylist() == [["amount_positive"]] * 2
    verdict = there.verdict("2024-03-01")
    assert (verdict["rows"], verdict["quarantined_rows"], verdict["version"]) == (1, 2, 1)


@pytest.mark.parametrize(
    ("rows", "table", "check"),
    [
        ([order(1, 1), order(1, 1, amount=2.0)], {}, "unique_key"),
        ([order(1, 1, amount=-1.0)], {"rules": [{**POSITIVE, "severity": "block"}]}, "amount_positive"),
        ([order(1, 1)], {"row_count": {"min": 2, "severity": "block"}}, "row_count"),
    ],
)
def test_a_broken_key_or_block_rule_leaves_readers_with_what_they_had(there, rows, table, check):
    there.write_delta(order(1, 1), order(2, 2))
    there.read_in_place(1, 2)
    there.write_delta(*rows, mode="overwrite", predicate="placed_at < '2024-03-02 00:00:00+00:00'")

    (blocked, *_) = there.read_in_place(1, **table)

    assert (blocked.blocked, blocked.version) == (True, None)
    assert [one.rule for one in blocked.findings if one.severity == "block" and not one.passed] == [check]
    assert there.rows().to_pylist() == orders(order(1, 1), order(2, 2)).to_pylist()
    assert there.verdict("2024-03-01")["blocked"]


def test_a_type_that_is_not_declared_is_refused(there):
    words = pa.table({**{c: orders(order(1, 1))[c] for c in COLUMNS}, "amount": pa.array(["1 EUR"])})
    write_deltalake(there.uri, words)

    with pytest.raises(SchemaChanged, match="shop/orders, column amount: found type"):
        there.read_in_place()


@pytest.mark.parametrize(
    ("new_columns", "is_seen", "is_blocked"), [("add", True, False), ("ignore", False, False), ("refuse", False, True)]
)
def test_columns_that_nobody_declared_follow_the_contract(there, new_columns, is_seen, is_blocked):
    write_deltalake(there.uri, orders(order(1, 1)).append_column("coupon", pa.array(["X"])))

    (published,) = there.read_in_place(new_columns=new_columns)

    assert published.blocked == is_blocked
    assert published.schema_changes == {"coupon": "string"}
    if not is_blocked:
        assert ("coupon" in there.rows().column_names) == is_seen


def test_a_corrected_row_of_a_delta_table_is_noticed(there):
    there.write_delta(order(1, 1), order(2, 1))
    there.read_in_place(1)
    there.write_delta(order(1, 1, amount=9.0), order(2, 1), mode="overwrite")

    (again,) = there.read_in_place(1)

    (finding,) = [one for one in again.findings if one.rule == "no_corrections"]
    assert (finding.passed, finding.failed, finding.total) == (False, 1, 2)


# Windows


def test_only_published_windows_are_seen(there):
    there.write_delta(*(order(number, number) for number in range(1, 6)))

    there.read_in_place(2, 3)
    assert there.numbers() == [2, 3]

    there.read_in_place(5)
    assert there.numbers() == [2, 3, 5]


def test_a_window_that_never_was_published_does_not_stop_the_others(there):
    there.write_delta(order(1, 1), order(2, 2), order(2, 2))

    one, other = there.read_in_place(1, 2)

    assert (one.blocked, one.version, other.blocked, other.version) == (False, 1, True, None)
    assert there.numbers() == [1]


def test_appending_a_day_judges_that_day_alone(there):
    there.write_delta(order(1, 1))
    there.read_in_place(1)
    there.write_delta(order(2, 2))

    assert [one.window for one in there.read_in_place(2)] == ["2024-03-02"]
    assert there.numbers() == [1, 2]


def test_late_rows_and_rewritten_files_are_judged_with_the_windows_they_are_about(there):
    there.write_delta(order(1, 1))
    there.write_delta(order(2, 2), order(3, 3))
    there.read_in_place(1, 2, 3)
    there.write_delta(order(4, 4), order(20, 2, amount=-1.0), order(22, 2))

    judged = there.read_in_place(4, rules=[])

    assert [one.window for one in judged] == ["2024-03-02", "2024-03-03", "2024-03-04"]
    assert there.verdict("2024-03-02")["rows"] == 3
    assert there.numbers() == [1, 2, 3, 4, 20, 22]


def test_a_published_window_that_breaks_its_contract_since_keeps_readers_where_they_were(there):
    there.write_delta(order(1, 1))
    there.read_in_place(1)
    there.write_delta(order(2, 2), order(1, 1))

    judged = there.read_in_place(2)

    assert {one.window: (one.blocked, one.version) for one in judged} == {
        "2024-03-01": (True, None),
        "2024-03-02": (False, None),
    }
    assert there.numbers() == [1]
    assert there.verdict("2024-03-02") is None


def test_their_compaction_changes_no_row_and_everything_is_judged_again(there):
    for number in (1, 2, 3):
        there.write_delta(order(number, number))
    there.read_in_place(1, 2, 3)
    DeltaTable(there.uri).optimize.compact()
    there.write_delta(order(4, 4))

    judged = there.read_in_place(4)

    assert [one.window for one in judged] == [f"2024-03-0{number}" for number in (1, 2, 3, 4)]
    assert there.numbers() == [1, 2, 3, 4]


def test_another_rule_judges_every_published_window_again(there):
    there.write_delta(order(1, 1, amount=-1.0), order(2, 2))
    there.read_in_place(1, 2)

    judged = there.read_in_place(2, rules=[POSITIVE])

    assert [one.window for one in judged] == ["2024-03-01", "2024-03-02"]
    assert there.numbers() == [2]
    assert there.numbers(version=1) == [1, 2]


def test_windows_and_partitions_must_fit(there):
    there.write_delta(order(1, 1))
    with pytest.raises(WindowsMismatch):
        read_in_place(there.spec(), "orders", there.uri, windows=[], lake=there.lake, load_id="run", now=NOW)


# Versions


def test_the_same_table_again_is_the_same_version(there):
    there.write_delta(order(1, 1))

    assert [there.read_in_place(1)[0].version for _ in range(3)] == [1, 1, 1]


def test_a_version_of_a_delta_table_can_be_read_again(there):
    there.write_delta(order(1, 1))
    there.read_in_place()
    there.write_delta(order(2, 2), mode="overwrite")
    there.read_in_place()

    assert (there.numbers(version=1), there.numbers(version=2), there.numbers()) == ([1], [2], [2])


def test_files_added_to_a_folder_are_not_in_an_older_version(there):
    spark_like(there)
    there.read_in_place(format="parquet")
    pq.write_table(orders(order(9, 9)), f"{there.uri}/part-00009.parquet")
    there.read_in_place(format="parquet")

    assert (there.numbers(version=1), there.numbers()) == ([1, 2], [1, 2, 9])


@pytest.mark.parametrize("change", ["rewritten", "removed"])
def test_a_parquet_file_that_changed_under_its_version_is_refused_and_judged_anew_when_asked(there, change):
    spark_like(there)
    there.read_in_place(1, 2, format="parquet")
    file = Path(there.uri, "part-00000.snappy.parquet")
    if change == "removed":
        file.unlink()
    else:
        pq.write_table(orders(order(1, 1, amount=7.0)), file)

    with pytest.raises(
        FilesChanged, match=r"raw/shop/orders, version 1: found .* with 1 files changed or gone since then"
    ):
        there.numbers()
    judged = there.read_in_place(2, format="parquet")
    assert [one.window for one in judged] == ["2024-03-01", "2024-03-02"]
    assert there.rows()["amount"].to_pylist() == ([1.0] if change == "removed" else [7.0, 1.0])
    with pytest.raises(FilesChanged):
        there.numbers(version=1)


def test_a_version_whose_files_its_owner_has_vacuumed_says_so(there):
    there.write_delta(order(1, 1))
    there.read_in_place(1)
    there.write_delta(order(1, 1), order(2, 2), mode="overwrite")
    DeltaTable(there.uri).vacuum(0, dry_run=False, enforce_retention_duration=False)

    with pytest.raises(FilesGone, match="raw/shop/orders, version 1: found IO Error"):
        there.numbers()
    assert [one.window for one in there.read_in_place(2)] == ["2024-03-01", "2024-03-02"]
    assert there.numbers() == [1, 2]


def test_a_version_that_never_was_is_refused(there):
    there.write_delta(order(1, 1))
    there.read_in_place()

    with pytest.raises(NoSuchPointer, match="raw/shop/orders: found no pointer 7"):
        there.numbers(version=7)


def test_runs_at_once_lose_no_window(there):
    there.write_delta(*(order(number, number) for number in range(1, 13)))
    with ProcessPoolExecutor(4, get_context("spawn")) as pool:
        published = list(pool.map(_publish_day, [(there.lake, there.uri, number) for number in range(1, 13)]))

    assert sorted(published, key=str) == sorted(range(1, 13), key=str)  # each its own number, and no complaint
    assert there.numbers() == list(range(1, 13))


def _publish_day(task: tuple[str, str, int]) -> int | str | None:
    lake, uri, number = task
    there = Elsewhere("unused")
    there.lake, there.uri = lake, uri
    try:
        return there.read_in_place(number)[0].version
    except MlopsError as error:  # a pool cannot carry it over, and would hide what it says
        return str(error)


# What cannot be read


def edit_log(uri: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the actions of a table's first commit."""
    file = Path(uri, "_delta_log", f"{0:020d}.json")
    actions = [json.loads(line) for line in file.read_text().splitlines()]
    for action in actions:
        change(action)
    file.write_text("\n".join(map(json.dumps, actions)))


def allow_deletion_vectors(action: dict[str, Any]) -> None:
    if "protocol" in action:
        features = ["deletionVectors"]
        action["protocol"] = {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": features,
            "writerFeatures": features,
        }


def use_deletion_vectors(action: dict[str, Any]) -> None:
    allow_deletion_vectors(action)
    if "add" in action:
        vector = "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L"
        action["add"]["deletionVector"] = {
            "storageType": "i",
            "pathOrInlineDv": vector,
            "offset": None,
            "sizeInBytes": 40,
            "cardinality": 6,
        }


def test_a_table_that_may_have_deletion_vectors_and_has_none_is_read(there):
    there.write_delta(order(1, 1))
    edit_log(there.uri, allow_deletion_vectors)

    there.read_in_place()

    assert there.numbers() == [1]


def test_rows_deleted_by_vectors_are_refused_rather_than_shown(there):
    there.write_delta(order(1, 1))
    edit_log(there.uri, use_deletion_vectors)

    with pytest.raises(UnhandledFeature, match="found Delta features deletionVectors"):
        there.read_in_place()


def test_a_feature_that_nobody_has_looked_at_is_refused(there):
    def widen(action: dict[str, Any]) -> None:
        allow_deletion_vectors(action)
        if "protocol" in action:
            action["protocol"]["readerFeatures"] = action["protocol"]["writerFeatures"] = ["typeWidening"]

    there.write_delta(order(1, 1))
    edit_log(there.uri, widen)

    with pytest.raises(UnhandledFeature, match="typeWidening"):
        there.read_in_place()


def test_a_delta_table_read_as_parquet_would_show_removed_rows_and_is_refused(there):
    there.write_delta(order(1, 1))
    there.write_delta(order(2, 2), mode="overwrite")

    with pytest.raises(DeltaReadAsParquet, match="found a Delta table"):
        there.read_in_place(format="parquet")


@pytest.mark.parametrize(("format", "error"), [("delta", TableNotFound), ("parquet", NoParquetFiles)])
def test_a_place_that_holds_nothing_is_named(there, format, error):  # noqa: A002
    with pytest.raises(error, match=there.uri):
        there.read_in_place(format=format)


def test_a_name_that_already_has_a_copy_in_the_lake_is_refused(there):
    there.write_delta(order(1, 1))
    overwrite(f"{there.lake}/raw/shop/orders", orders(order(5, 5)))

    with pytest.raises(CopiedAndInPlace):
        there.read_in_place()
    shutil.rmtree(f"{there.lake}/raw/shop/orders")
    there.read_in_place()
    overwrite(f"{there.lake}/raw/shop/orders", orders(order(5, 5)))
    with pytest.raises(CopiedAndInPlace):
        resolve(there.lake, "shop/orders")


# The file


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"publish": "history"}, "tables.orders: an external table is read in place; remove `publish: history`"),
        (
            {"python": {"schema": "a:b"}},
            "severity 'quarantine' for a table that is read in place; required warn or block",
        ),
    ],
)
def test_what_cannot_be_done_in_place_is_refused_in_the_file(there, change: dict[str, Any], says: str):
    with pytest.raises(ValueError, match=says):
        there.spec(**change)


def test_only_an_external_source_has_tables_in_place(there):
    spec = there.spec().model_dump(by_alias=True) | {"source": "shop.feed:shop"}
    with pytest.raises(ValueError, match="publish 'in_place' is for the tables of an external source"):
        IngestionSpec.model_validate(spec)


def test_lag_and_reconciliation_make_no_sense_in_place(there):
    spec = there.spec().model_dump(by_alias=True) | {"lag_days": 1}
    with pytest.raises(ValueError, match="remove `lag_days` and `reconcile`"):
        IngestionSpec.model_validate(spec)


# On S3


@pytest.mark.service
@pytest.mark.parametrize("lake_is_there_too", [True, False], ids=["lake on S3", "lake on disk"])
@pytest.mark.parametrize("format", ["delta", "parquet"])
def test_a_table_on_s3_is_read_where_it_is(bucket, tmp_path, format, lake_is_there_too):  # noqa: A002
    there = Elsewhere(bucket)
    if not lake_is_there_too:
        there.lake = str(tmp_path / "lake")
    rows = [order(1, 1, city="a b"), order(2, 1, amount=-1.0), order(3, 2, city="Oslo")]
    if format == "delta":
        write_deltalake(there.uri, orders(*rows), partition_by=["city"])
    else:
        s3_dataset(there.uri, rows)

    there.read_in_place(1, 2, format=format, rules=[POSITIVE])

    assert there.rows().select(list(COLUMNS)).to_pylist() == orders(rows[0], rows[2]).to_pylist()
    if format == "parquet":
        s3_dataset(there.uri, [order(3, 2, amount=77.25)])
        with pytest.raises(FilesChanged):
            there.numbers()


def s3_dataset(uri: str, rows: Iterable[dict[str, Any]]) -> None:
    from pyarrow import fs

    store, key = fs.FileSystem.from_uri(uri)
    pq.write_to_dataset(
        orders(*rows), key, filesystem=store, partition_cols=["city"], basename_template="part-{i}.parquet"
    )


def test_rows_of_a_table_in_place_are_not_released_from_quarantine_but_shown_again(there):
    there.write_delta(order(1, 1), order(2, 1, amount=-5.0))
    there.read_in_place(1, rules=[POSITIVE])

    with pytest.raises(ReadInPlace, match="quarantine/shop/orders: found a table that is read in place"):
        requarantine(there.spec(), "orders", lake=there.lake, now=NOW)
    there.read_in_place(1)
    assert there.numbers() == [1, 2]
    assert read(f"{there.lake}/quarantine/shop/orders").num_rows == 0
