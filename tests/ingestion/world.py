"""A small shop: daily orders whose deliveries the test decides."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlops_assets.ingestion.ingest import Published, ingest
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.lake.windows import Window

COLUMNS = {"order_id": "BIGINT", "placed_at": "TIMESTAMPTZ", "amount": "DOUBLE", "city": "VARCHAR"}
NOW = datetime(2024, 4, 1, tzinfo=UTC)


def order(
    order_id: int, day: int, amount: float | None = 1.0, city: str | None = "Oslo", hour: int = 12
) -> dict[str, Any]:
    at = datetime(2024, 3, day, hour, tzinfo=UTC)
    return {"order_id": order_id, "placed_at": at, "amount": amount, "city": city}


def orders(*rows: dict[str, Any]) -> pa.Table:
    types = [("order_id", pa.int64()), ("placed_at", pa.timestamp("us", "UTC")), ("amount", pa.float64())]
    return pa.Table.from_pylist(list(rows), pa.schema([*types, ("city", pa.string())]))


def shop_spec(*, partitioned: bool = True, **table: Any) -> IngestionSpec:
    declared = {"description": "One order.", "key": ["order_id"], "columns": COLUMNS, **table}
    partitions = {"every": "day", "column": "placed_at", "start": date(2024, 3, 1)} if partitioned else None
    return IngestionSpec.model_validate(
        {
            "name": "shop",
            "description": "A shop.",
            "source": "ingestion.feed:shop" if partitioned else "ingestion.feed:whole",
            "partitions": partitions,
            "tables": {"orders": declared},
        }
    )


def day(number: int) -> Window:
    return Window(
        f"2024-03-{number:02}", datetime(2024, 3, number, tzinfo=UTC), datetime(2024, 3, number + 1, tzinfo=UTC)
    )


class Shop:
    """Ingestion of the shop into a lake of its own."""

    def __init__(self, root: Path) -> None:
        self.lake, self.folder = str(root / "lake"), root / "work"
        self.orders, self.quarantine = f"{self.lake}/raw/shop/orders", f"{self.lake}/quarantine/shop/orders"

    def ingest(self, windows: Iterable[Window] = (day(1),), *, spec: IngestionSpec | None = None) -> list[Published]:
        wanted = list(windows)
        declared = spec or shop_spec(partitioned=bool(wanted))
        return ingest(declared, ["orders"], windows=wanted, lake=self.lake, folder=self.folder, now=NOW)
