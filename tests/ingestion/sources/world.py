"""Orders of a shop, as any source may deliver them."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from mlops_assets.ingestion.sources.states import State
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.ingestion.staging import Staged, stage
from mlops_assets.lake.windows import Window

COLUMNS = {"order_id": "BIGINT", "placed_at": "TIMESTAMPTZ", "amount": "DOUBLE", "city": "VARCHAR"}


def order(order_id: int, day: int, amount: float | None = 1.0, city: str | None = "Oslo", **at: int) -> dict[str, Any]:
    placed = datetime(2024, 3, day, **{"hour": 12, **at}, tzinfo=UTC)
    return {"order_id": order_id, "placed_at": placed, "amount": amount, "city": city}


def spec_of(source: dict[str, Any], *, partitioned: bool = False, name: str = "orders", **keys: Any) -> IngestionSpec:
    """Return the file of a source with one table; keys of a table go there, `lag_days` and `reconcile` to the file."""
    file = {key: keys.pop(key) for key in ("lag_days", "reconcile") if key in keys}
    partitions = {"every": "day", "column": "placed_at", "start": date(2024, 3, 1)} if partitioned else None
    table = {"description": "One order.", "key": ["order_id"], "columns": COLUMNS, **keys}
    return IngestionSpec.model_validate(
        {
            "name": "shop",
            "description": "A shop.",
            "source": source,
            "partitions": partitions,
            "tables": {name: table},
            **file,
        }
    )


def days(first: int, last: int | None = None) -> Window:
    end = (last or first) + 1
    return Window(f"2024-03-{first:02}", datetime(2024, 3, first, tzinfo=UTC), datetime(2024, 3, end, tzinfo=UTC))


class Loads:
    """Loads of one table that follow each other as published ones do: the state goes from one to the next."""

    def __init__(self, folder: Path, spec: IngestionSpec) -> None:
        self.folder, self.spec, self.states = folder, spec, {}
        self.states: dict[str, State] = {}

    def load(self, **how: Any) -> Staged:
        staged = stage(
            self.spec,
            list(self.spec.tables),
            window=how.pop("window", None),
            folder=self.folder,
            states=self.states,
            **how,
        )
        self.states = staged.states
        return staged

    def rows(self, **how: Any) -> list[dict[str, Any]]:
        """Return the rows of the next load, by key."""
        table = self.load(**how).tables[next(iter(self.spec.tables))]
        return sorted(table.to_pylist(), key=lambda row: row["order_id"])

    def ids(self, **how: Any) -> list[int]:
        return [row["order_id"] for row in self.rows(**how)]
