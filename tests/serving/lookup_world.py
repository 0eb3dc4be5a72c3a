"""A model of two looked-up views and one request input, whose predictions are known in closed form."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from features.online.world import Shelf, at, row
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from mlops_assets.features.online.plan import LookupPlan, to_json
from mlops_assets.features.online.store import OnlineStore
from mlops_assets.predictor.artifact import save
from mlops_assets.predictor.signature import Signature
from mlops_assets.rollout.state import Route
from mlops_assets.serving.online import GuardedStore
from mlops_assets.serving.scoring import ArmLoader, LoadedArm

FOR_EVER = 1e18
REQUEST = b"def request_features(columns):\n    return {'twice': columns['n'] * 2}\n"
SIGNATURE = Signature(
    {"amount": "numeric", "city": "categorical", "is_new": "numeric", "price": "numeric", "twice": "numeric"},
    "regression",
    ("n",),
    (),
    {"n": "numeric"},
)
FALLBACK: dict[str, Any] = {"amount": 7.0, "city": "Rome"}


class Stopped:
    """A clock that says six hours after the beginning of the world."""

    def now(self) -> datetime:
        return at(6)


def shelves(lake: Path, store: OnlineStore) -> tuple[Shelf, Shelf]:
    """Return the views of customers (alive for ten hours) and of items, not published yet."""
    of_customers = {"amount": pa.float64(), "city": pa.string(), "is_new": pa.bool_()}
    customers = Shelf(str(lake), store, {"customer": pa.string()}, of_customers, name="customers", ttl_hours=10)
    return customers, Shelf(str(lake), store, {"item": pa.int64()}, {"price": pa.float64()}, name="items")


def publish(customers: Shelf, items: Shelf) -> None:
    """Let the store hold ann and bob, and item 1."""
    ann = row({"customer": "ann"}, 1, 1, amount=1.0, city="Rome", is_new=True)
    bob = row({"customer": "bob"}, 3, 4, amount=2.0, city="Oslo", is_new=False)
    customers.publish([ann, bob])
    items.publish([row({"item": 1}, 2, 2, price=10.0)])
    for shelf in (customers, items):
        shelf.materialise(5)


def save_model(folder: Path, *views: Shelf) -> Path:
    """Save `amount + 100 (city is Rome) + 1000 is_new + 10000 price + 0.5 twice`, missing numbers being 0."""
    rows = pa.table(
        {
            "amount": [0.0, 1.0, 2.0] * 20,
            "city": ["Rome", "Oslo", None] * 20,
            "is_new": [0.0, 1.0, None] * 20,
            "price": [4.0, 5.0, 6.0] * 20,
            "twice": [4.0, 5.0, 6.0] * 20,
        }
    )
    numbers = ["amount", "is_new", "price", "twice"]
    prepare = ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="constant", fill_value=0.0), numbers),
            ("is", OneHotEncoder(categories=[["Rome"]], handle_unknown="ignore", sparse_output=False), ["city"]),
        ],
        sparse_threshold=0,
    )
    model: Any = LinearRegression()
    pipeline = Pipeline([("prepare", prepare), ("model", model)]).fit(rows.to_pandas(), np.zeros(60))
    model.coef_, model.intercept_ = np.array([1.0, 1000.0, 10000.0, 0.5, 100.0]), 0.0
    plan = LookupPlan(
        tuple(shelf.schema for shelf in views),
        tuple(f"{shelf.name}:{feature}" for shelf in views for feature in shelf.features),
        {"customer": "string", "item": "int64", "order_id": "int64"},
        FALLBACK,
    )
    save(folder, pipeline, signature=SIGNATURE, rows=rows, facts={}, request_source=REQUEST, lookup=to_json(plan))
    return folder


def load_arm(
    folder: Path, store: OnlineStore | None, *, pause_seconds: float = 5.0
) -> tuple[LoadedArm, GuardedStore | None]:
    """Load the model with a store behind a breaker."""
    guarded = None if store is None else GuardedStore(store, pause_seconds=pause_seconds)
    return ArmLoader(guarded, Stopped())(Route(1, "run1", str(folder))), guarded


def micros(moment: datetime) -> int:
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6)
