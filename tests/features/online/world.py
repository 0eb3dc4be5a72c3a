"""A feature view of every type in a lake of its own, written row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from mlops_assets.features.compute import DEFINITION, SOURCES, view_uri
from mlops_assets.features.definition import View
from mlops_assets.features.join import JoinedView, point_in_time_join
from mlops_assets.features.online.materialise import Materialised, materialise
from mlops_assets.features.online.reader import OnlineFeatures, OnlineReader
from mlops_assets.features.online.schema import Schema, view_schema
from mlops_assets.features.online.store import OnlineStore
from mlops_assets.features.spec import FeatureViewSpec
from mlops_assets.lake import tables
from mlops_assets.lake.engine import attach, connect

T0 = datetime(2024, 3, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")
EVERY_TYPE: dict[str, pa.DataType] = {
    "amount": pa.float64(),
    "share": pa.float32(),
    "count": pa.int64(),
    "small": pa.int16(),
    "is_new": pa.bool_(),
    "city": pa.string(),
    "raw": pa.binary(),
    "birthday": pa.date32(),
    "price": pa.decimal128(12, 3),
    "seen_at": TIME,
    "local_at": pa.timestamp("us"),
    "vector": pa.list_(pa.float64()),
    "days": pa.list_(pa.date32()),
}
EXAMPLE: dict[str, Any] = {
    "amount": 0.1 + 0.2,
    "share": 0.5,
    "count": -(2**63),
    "small": -7,
    "is_new": True,
    "city": "Zürich\0 \U0001f600",
    "raw": bytes(range(256)),
    "birthday": date(1, 1, 1),
    "price": Decimal("-123456789.500"),
    "seen_at": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    "local_at": datetime(1969, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001  a column without a zone
    "vector": [1.5, None, -0.0],
    "days": [date(2024, 2, 29), None],
}


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def row(entity: Mapping[str, Any], event: float, known: float, **features: Any) -> dict[str, Any]:
    return {**entity, "event_timestamp": at(event), "known_at": at(known), **features}


@dataclass
class Shelf:
    """One view: its table in a lake, a store, and a reader.

    Attributes:
        entity: Types of the entity columns.
        features: Types of the features.
    """

    lake: str
    store: OnlineStore
    entity: Mapping[str, pa.DataType]
    features: Mapping[str, pa.DataType]
    ttl_hours: float | None = None
    sql: str = "select 1"
    name: str = "view"

    @property
    def view(self) -> View:
        spec = {
            "name": self.name,
            "description": "A view.",
            "entity": list(self.entity),
            "sources": {"rows": "shop/rows"},
            "sql": self.sql,
            "ttl_days": None if self.ttl_hours is None else self.ttl_hours / 24,
            "features": {name: {"description": "A value."} for name in self.features},
            "online": True,
        }
        return View(FeatureViewSpec.model_validate(spec), self.sql)

    @property
    def uri(self) -> str:
        return view_uri(self.lake, self.name)

    @property
    def arrow(self) -> pa.Schema:
        return pa.schema([*self.entity.items(), ("event_timestamp", TIME), ("known_at", TIME), *self.features.items()])

    @property
    def schema(self) -> Schema:
        return view_schema(self.view, self.arrow)

    def publish(self, rows: Sequence[Mapping[str, Any]]) -> int:
        table = pa.Table.from_pylist([dict(one) for one in rows], self.arrow)
        facts = {DEFINITION: self.view.definition, SOURCES: "{}"}
        return tables.overwrite(self.uri, table, properties=facts)

    def materialise(self, now: float) -> Materialised:
        return materialise(self.view, lake=self.lake, store=self.store, now=at(now))

    def reader(self, *features: str) -> OnlineReader:
        references = [f"{self.name}:{name}" for name in features or self.features]
        return OnlineReader(self.store, [self.schema], references)

    def read(self, entities: Sequence[Mapping[str, Any]], now: float, *features: str) -> OnlineFeatures:
        return self.reader(*features).read(entities, now=at(now))

    def offline(self, entities: Sequence[Mapping[str, Any]], now: float) -> dict[str, list[Any]]:
        """Return what the point-in-time join finds."""
        spine = pa.Table.from_pylist([dict(one) for one in entities], pa.schema(list(self.entity.items())))
        spine = spine.append_column("prediction_time", pa.array([at(now)] * len(entities), TIME))
        with connect() as con:
            attach(con, "view", tables.snapshot(self.uri))
            joined = point_in_time_join(con, spine, [JoinedView(self.view.spec, "view", tuple(self.features))])
        return {name: joined[name].to_pylist() for name in self.features}
