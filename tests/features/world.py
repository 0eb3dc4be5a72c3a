"""A small shop in a lake of its own: orders, their late returns, and a model that asks whether an order comes back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlops_assets.contract.spec import KnownAtSpec
from mlops_assets.features.definition import VectorDefinition, View
from mlops_assets.features.leakage import Leakage, check_leakage
from mlops_assets.features.refresh import Refreshed, refresh_view
from mlops_assets.features.request import Request
from mlops_assets.features.spec import FeatureViewSpec, SpineSpec
from mlops_assets.features.training_set import TrainingSet, build_training_set
from mlops_assets.lake import tables
from mlops_assets.lake.uris import join
from mlops_assets.lake.windows import Window

T0 = datetime(2024, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TIMEOUT_DAYS = 3
SCHEMA = pa.schema(
    [
        ("order_id", pa.int64()),
        ("customer", pa.string()),
        ("ordered_at", pa.timestamp("us", "UTC")),
        ("amount", pa.float64()),
        ("returned", pa.bool_()),
        ("closed_at", pa.timestamp("us", "UTC")),
    ]
)
# An order is known when it is placed; whether it came back is known when it is closed.
KNOWN_AT = KnownAtSpec(
    row="ordered_at",
    columns={"returned": "closed_at", "closed_at": "closed_at"},
    known_with_row=["order_id", "customer", "ordered_at", "amount"],
)
SPINE_SQL = """
    select order_id, customer, amount, ordered_at as prediction_time,
           returned::int as label, closed_at as label_known_at
    from orders
"""
# How often a customer's closed orders came back, by the time they were closed.
RETURNS_SQL = """
    select customer, closed_at as event_timestamp, closed_at as known_at,
           avg(returned::int) over (partition by customer order by closed_at range unbounded preceding) as return_share
    from orders where closed_at is not null
    qualify row_number() over (partition by customer, closed_at order by order_id) = 1
"""


def at(days: float) -> datetime:
    return T0 + days * DAY


def window(first: float, last: float) -> Window:
    return Window(at(first).date().isoformat(), at(first), at(last))


def order(
    number: int,
    day: float,
    *,
    closed: float | None,
    customer: str = "ann",
    amount: float | None = None,
    returned: bool | None = True,
) -> dict[str, Any]:
    """Return an order placed on `day` and closed `closed` days later; never if None."""
    return {
        "order_id": number,
        "customer": customer,
        "ordered_at": at(day),
        "amount": float(number) if amount is None else amount,
        "returned": None if closed is None else returned,
        "closed_at": None if closed is None else at(day + closed),
    }


def many_orders(count: int = 60) -> list[dict[str, Any]]:
    """Return orders every eight hours; each eleventh is never closed."""
    return [
        order(
            number,
            number / 3,
            closed=None if number % 11 == 10 else 0.3 + (number % 5) / 2,
            customer="ann" if number % 3 else "bob",
            returned=number % 4 == 0,
        )
        for number in range(count)
    ]


def view(sql: str = RETURNS_SQL, *, name: str = "returns", feature: str = "return_share", **spec: Any) -> View:
    declared = {
        "name": name,
        "description": "A view.",
        "entity": ["customer"],
        "sources": {"orders": "shop/orders"},
        "sql": sql,
        "features": {feature: {"description": "A value."}},
        **spec,
    }
    return View(FeatureViewSpec.model_validate(declared), sql)


def definition(
    *views: View, spine_sql: str = SPINE_SQL, keys: Sequence[str] = ("order_id",), request: Request | None = None
) -> VectorDefinition:
    spine = {
        "sources": {"orders": "shop/orders"},
        "sql": spine_sql,
        "keys": list(keys),
        "label_timeout_days": TIMEOUT_DAYS,
    }
    return VectorDefinition(
        spine=SpineSpec.model_validate(spine),
        spine_sql=spine_sql,
        views=views,
        features=tuple(f"{one.spec.name}:{feature}" for one in views for feature in one.spec.features),
        request=request or Request(("amount",)),
        window_column="prediction_time",
    )


@dataclass(frozen=True)
class Shop:
    """A lake with the table `shop/orders`."""

    lake: str
    known_at: dict[str, KnownAtSpec | None] = field(default_factory=lambda: {"shop/orders": KNOWN_AT})

    @classmethod
    def of(cls, folder: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema = SCHEMA) -> "Shop":
        shop = cls(str(folder / "lake"))
        shop.publish(pa.Table.from_pylist([dict(row) for row in rows], schema))
        return shop

    def publish(self, table: pa.Table, name: str = "orders") -> None:
        tables.overwrite(join(self.lake, "raw", "shop", name), table)

    def with_known_at(self, spec: KnownAtSpec | None, name: str = "orders") -> "Shop":
        return replace(self, known_at={**self.known_at, f"shop/{name}": spec})

    def refresh(self, *views: View) -> list[Refreshed]:
        return [refresh_view(one.spec, one.sql, lake=self.lake) for one in views]

    def build(
        self,
        wanted: VectorDefinition,
        *,
        as_of: float = 30,
        held: Sequence[Window] = (),
        window_days: float | None = None,
    ) -> TrainingSet:
        return build_training_set(wanted, lake=self.lake, as_of=at(as_of), held=held, window_days=window_days)

    def search(self, wanted: VectorDefinition, *, samples: int = 20, seed: int = 0) -> Leakage:
        """Refresh the views, build a training set and search it for leaks."""
        self.refresh(*wanted.views)
        built = self.build(wanted)
        return check_leakage(built, wanted, lake=self.lake, known_at=self.known_at, samples=samples, seed=seed)
