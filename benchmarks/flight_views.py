"""Real flights as a spine, and three views of theirs with corrections: what `point_in_time` joins in every way."""

import functools
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlops_assets.features.spec import FeatureViewSpec

TTL_DAYS = 2.0
DEFS = Path(__file__).parents[1] / "mlops_assets" / "defs"
ENTITIES = {"carrier_delay": "carrier", "origin_delay": "origin", "origin_weather": "origin"}
WEATHER = """
    select origin, time_hour as event_timestamp, time_hour + interval 1 hour as known_at, temp, wind_speed, visib
    from weather
"""
# Every tenth row is corrected three days later.
CORRECTED = """
    select * from view union all by name
    select * replace (known_at + interval 3 day as known_at) from view where hash(event_timestamp) % 10 = 0
"""


@functools.cache
def flight_spine() -> pa.Table:
    """Return one row per flight, in order of prediction time."""
    return _query(
        "select carrier, origin, time_hour + to_minutes(minute) - interval 2 hour as prediction_time from flights order by 3"
    )


@functools.cache
def corrected_views() -> list[tuple[FeatureViewSpec, pa.Table]]:
    """Return the views with their rows."""
    queries = {name: (DEFS / name / f"{name}.sql").read_text() for name in ("carrier_delay", "origin_delay")}
    views: list[tuple[FeatureViewSpec, pa.Table]] = []
    for name, sql in {**queries, "origin_weather": WEATHER}.items():
        table = _query(f"with view as ({sql}) {CORRECTED}")
        times = [ENTITIES[name], "event_timestamp", "known_at"]
        features = [column for column in table.column_names if column not in times]
        views.append((view_spec(name, ENTITIES[name], features), table.select([*times, *features])))
    return views


def view_spec(name: str, entity: str, features: list[str], *, ttl_days: float = TTL_DAYS) -> FeatureViewSpec:
    """Return the spec of a view whose query takes the rows as they are."""
    return FeatureViewSpec(
        name=name,
        description="Rows of a benchmark.",
        entity=[entity],
        sources={"rows": f"bench/{name}"},
        sql="select * from rows",
        ttl_days=ttl_days,
        features={feature: {"description": "A value."} for feature in features},  # pyright: ignore[reportArgumentType]  pydantic reads it
    )


def feast_store(folder: Path, views: list[tuple[FeatureViewSpec, pa.Table]]):
    """Return a Feast store on DuckDB over the same rows in Parquet."""
    import os

    import pyarrow.parquet as pq

    os.environ["FEAST_USAGE"] = "False"
    from datetime import timedelta

    from feast import Entity, FeatureStore, FeatureView, FileSource, RepoConfig, ValueType  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]  an extra
    from feast.repo_config import RegistryConfig  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]  an extra

    config = RepoConfig(
        project="bench",
        provider="local",
        registry=RegistryConfig(path=str(folder / "registry.db")),
        offline_store={"type": "duckdb"},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    entities = {name: Entity(name=name, value_type=ValueType.STRING) for name in dict.fromkeys(ENTITIES.values())}
    definitions: list[Any] = list(entities.values())
    for spec, table in views:
        path = folder / f"{spec.name}.parquet"
        pq.write_table(table, path)
        source = FileSource(path=str(path), timestamp_field="event_timestamp")
        ttl = timedelta(days=TTL_DAYS)
        definitions.append(FeatureView(name=spec.name, entities=[entities[spec.entity[0]]], ttl=ttl, source=source))
    store.apply(definitions)
    return store


def _query(sql: str) -> pa.Table:
    from dlt_pipelines.nycflights import _table  # pyright: ignore[reportPrivateUsage]  the one reader of the package's files
    from mlops_assets.lake.engine import connect

    with connect() as con:
        for name, file in (("flights", "flights.csv.zip"), ("weather", "weather.csv")):
            con.register(name, _table(file))
        return con.sql(sql).to_arrow_table()
