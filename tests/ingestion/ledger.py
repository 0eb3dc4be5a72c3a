"""Accounts whose balances change: a source in a Parquet file, read whole, by a cursor or by window, also by other processes."""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops_assets.ingestion.ingest import Published, ingest
from mlops_assets.ingestion.load_state import Standing, standing
from mlops_assets.ingestion.requarantine import Requarantined, requarantine
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.lake.tables import exists, newest_version, read
from mlops_assets.lake.windows import Window

SCHEMA = pa.schema([("id", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("balance", pa.float64())])
COLUMNS = {"id": "BIGINT", "at": "TIMESTAMPTZ", "balance": "DOUBLE"}
START = datetime(2024, 3, 1, tzinfo=UTC)
NOW = datetime(2024, 4, 1, tzinfo=UTC)
FILE = "LEDGER"


def row(key: int, minute: int, balance: float | None = 1.0) -> dict[str, Any]:
    """Return an account as it is some minutes into March."""
    return {"id": key, "at": START + timedelta(minutes=minute), "balance": balance}


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.select(SCHEMA.names).to_pylist(), key=repr)


@dlt.source(name="ledger")
def whole():
    @dlt.resource(name="accounts")
    def accounts() -> Iterator[pa.Table]:
        yield pq.read_table(os.environ[FILE])

    return accounts


@dlt.source(name="ledger")
def grows():
    @dlt.resource(name="accounts")
    def accounts(at=dlt.sources.incremental("at")) -> Iterator[pa.Table]:  # noqa: B008  as dlt is written
        yield pq.read_table(os.environ[FILE])

    return accounts


@dlt.source(name="ledger")
def daily(start: datetime, end: datetime):
    @dlt.resource(name="accounts")
    def accounts() -> Iterator[pa.Table]:
        table = pq.read_table(os.environ[FILE])
        yield table.filter(pc.and_(pc.greater_equal(table["at"], start), pc.less(table["at"], end)))

    return accounts


def ledger_spec(source: str, publish: str, **table: Any) -> IngestionSpec:
    """Return the spec of `source` (whole, grows or daily) with one table."""
    declared = {"description": "An account.", "key": ["id"], "columns": COLUMNS, "publish": publish, **table}
    if publish == "upsert":
        declared = {"newest_by": "at", **declared}
    return IngestionSpec.model_validate(
        {
            "name": "ledger",
            "description": "Accounts.",
            "source": f"ingestion.ledger:{source}",
            "partitions": {"every": "day", "column": "at", "start": date(2024, 3, 1)} if source == "daily" else None,
            "tables": {"accounts": declared},
        }
    )


def day(number: int) -> Window:
    start = START + timedelta(days=number - 1)
    return Window(f"2024-03-{number:02}", start, start + timedelta(days=1))


class Ledger:
    """One source file and the lake that it is loaded into."""

    def __init__(self, root: Path, spec: IngestionSpec) -> None:
        self.root, self.spec = root, spec
        self.file = root / "ledger.parquet"
        self.use_lake(str(root / "lake"))
        root.mkdir(parents=True, exist_ok=True)
        os.environ[FILE] = str(self.file)

    def use_lake(self, lake: str) -> None:
        self.lake = lake
        self.uri, self.quarantine_uri = (f"{lake}/{area}/ledger/accounts" for area in ("raw", "quarantine"))

    def write(self, *rows: dict[str, Any]) -> None:
        pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), self.file)

    def load(
        self,
        *rows: dict[str, Any],
        now: datetime = NOW,
        windows: tuple[Window, ...] = (),
        spec: IngestionSpec | None = None,
        full: bool = False,
    ) -> Published:
        """Make `rows` the source, load them, and return what became of the last window."""
        self.write(*rows)
        return self.again(now=now, windows=windows, spec=spec, full=full)

    def again(
        self,
        *,
        now: datetime = NOW,
        windows: tuple[Window, ...] = (),
        spec: IngestionSpec | None = None,
        full: bool = False,
    ) -> Published:
        *_, last = ingest(
            spec or self.spec,
            ["accounts"],
            windows=windows,
            lake=self.lake,
            folder=self.root / "work",
            now=now,
            full=full,
        )
        return last

    def requarantine(self, spec: IngestionSpec | None = None, *, window: str | None = None) -> list[Requarantined]:
        return requarantine(spec or self.spec, "accounts", window=window, lake=self.lake, now=NOW + timedelta(days=1))

    def table_standing(self) -> Standing:
        return standing(self.uri, newest_version(self.uri))

    @property
    def published(self) -> list[dict[str, Any]]:
        return rows_of(read(self.uri)) if exists(self.uri) else []

    @property
    def aside(self) -> list[dict[str, Any]]:
        return rows_of(read(self.quarantine_uri)) if exists(self.quarantine_uri) else []
