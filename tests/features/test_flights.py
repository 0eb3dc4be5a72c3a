"""The shipped flight features on real flights: nothing from the future, and the numbers of a loop in pandas."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from features.warehouse_tables import load, run

import mlops_assets
from mlops_assets.features.compute import view_uri
from mlops_assets.features.definition import VectorDefinition, read_definition
from mlops_assets.features.labels import labelled_rows
from mlops_assets.features.leakage import check_leakage
from mlops_assets.features.refresh import refresh_view
from mlops_assets.features.sources import open_sources
from mlops_assets.features.spec import FeatureViewSpec, RequestSpec, SpineSpec
from mlops_assets.features.spine import read_spine
from mlops_assets.features.training_set import TrainingSet, build_training_set
from mlops_assets.features.vectors import assemble, open_views
from mlops_assets.features.warehouse import warehouse_query
from mlops_assets.ingestion.ingest import ingest
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.lake.engine import connect
from mlops_assets.lake.identity import identity
from mlops_assets.lake.tables import read
from tests.services import postgres  # noqa: F401  fixture

pytestmark = pytest.mark.slow

DEFS = Path(mlops_assets.__file__).parent / "defs"
WEEKS = 6
NOW = datetime(2014, 2, 1, tzinfo=UTC)
HOUR, DAY = pd.Timedelta(hours=1), pd.Timedelta(days=1)


def attributes(name: str) -> dict[str, Any]:
    return yaml.safe_load((DEFS / name / "defs.yaml").read_text())["attributes"]


@pytest.fixture(scope="module")
def sources() -> dict[str, IngestionSpec]:
    return {name: IngestionSpec.model_validate(attributes(name)) for name in ("nycflights", "nycplanes")}


@pytest.fixture(scope="module")
def definition() -> VectorDefinition:
    model = attributes("flight_delay")
    names = dict.fromkeys(reference.split(":")[0] for reference in model["features"])
    return read_definition(
        SpineSpec.model_validate(model["spine"]),
        features=model["features"],
        views=[(FeatureViewSpec.model_validate(attributes(name)), DEFS / name) for name in names],
        request=RequestSpec.model_validate(model["request"]),
        base=DEFS / "flight_delay",
        window_column="time_hour",
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, sources, definition) -> str:
    root = tmp_path_factory.mktemp("flights")
    lake = str(root / "lake")
    for name, spec in sources.items():
        windows = spec.partitions.windows(NOW)[:WEEKS] if spec.partitions else []
        ingest(spec, list(spec.tables), windows=windows, lake=lake, folder=root / name, now=NOW)
    for view in definition.views:
        refresh_view(view.spec, view.sql, lake=lake)
    return lake


@pytest.fixture(scope="module")
def built(lake, sources, definition) -> TrainingSet:
    as_of = sources["nycflights"].partitions.windows(NOW)[WEEKS - 1].end
    return build_training_set(definition, lake=lake, as_of=as_of, held=[], window_days=None)


@pytest.fixture(scope="module")
def flights(lake) -> pd.DataFrame:
    """Return the clean flights with their moments of departure and landing, and the full hour after each."""
    table = read(f"{lake}/raw/nycflights/flights").to_pandas()
    minutes = table["minute"] + table["dep_delay"]
    table["left"] = table["time_hour"] + pd.to_timedelta(minutes, unit="min")
    landing = minutes + table["air_time"] + 25
    table["landed"] = table["time_hour"] + pd.to_timedelta(landing.where(table["arr_delay"].notna()), unit="min")
    return table


def sample(built: TrainingSet, count: int) -> list[dict[str, Any]]:
    rows = np.random.default_rng(0).choice(built.table.num_rows, count, replace=False)
    return built.table.take(np.sort(rows)).to_pylist()


def last_full_hour(moments: pd.Series, t: pd.Timestamp, ttl: pd.Timedelta) -> pd.Timestamp | None:
    """Return the end of the last full hour before `t` in which something happened, unless it is too long ago."""
    past = moments[moments <= t.floor("h")]
    if past.empty:
        return None
    end = past.max().ceil("h")
    return end if t - end <= ttl else None


def test_no_shipped_feature_knows_the_future(built, definition, lake, sources):
    known_at = {
        f"{spec.name}/{name}": table.known_at for spec in sources.values() for name, table in spec.tables.items()
    }

    found = check_leakage(built, definition, lake=lake, known_at=known_at, samples=30, seed=0)

    assert found.findings == ()
    assert len(found.times) == 30


def test_every_flight_counts_once(built, flights, definition):
    end = built.manifest.as_of - 2 * DAY
    at = flights["time_hour"] + pd.to_timedelta(flights["minute"], unit="min") - 2 * HOUR
    landed = flights["landed"].notna() & (flights["landed"] <= at + 2 * DAY)

    counts = built.manifest.labels

    assert counts.labelled == (landed & (at < end)).sum() == built.table.num_rows
    assert counts.censored == (~landed & (at < end)).sum()
    assert counts.pending == ((at >= end) & (at < built.manifest.as_of)).sum()


def test_arrival_delays_of_a_carrier_are_those_of_a_loop(built, flights):
    for row in sample(built, 300):
        own = flights[(flights["carrier"] == row["carrier"]) & flights["landed"].notna()]
        end = last_full_hour(own["landed"], pd.Timestamp(row["prediction_time"]), 2 * DAY)
        week = own[(own["landed"] <= end) & (own["landed"] > end - 7 * DAY)] if end else own[:0]
        expected = week["arr_delay"].mean() if end else None
        assert row["carrier_arr_delay_7d"] == (None if expected is None else pytest.approx(expected, rel=1e-12))
        assert row["carrier_arrivals_7d"] == (len(week) if end else None)


def test_departure_delays_of_an_airport_are_those_of_a_loop(built, flights):
    for row in sample(built, 300):
        own = flights[(flights["origin"] == row["origin"]) & flights["dep_delay"].notna()]
        end = last_full_hour(own["left"], pd.Timestamp(row["prediction_time"]), 0.5 * DAY)
        hour = own[(own["left"] <= end) & (own["left"] > end - HOUR)] if end else own[:0]
        expected = hour["dep_delay"].mean() if end else None
        assert row["origin_dep_delay_1h"] == (None if expected is None else pytest.approx(expected, rel=1e-12))
        assert row["origin_departures_1h"] == (len(hour) if end else None)


LOOKBACK_DAYS = {"carrier_delay": 10, "origin_delay": 2, "origin_weather": 1}


def test_a_refresh_by_lookback_gives_the_view_of_all_weeks(lake, sources, definition, tmp_path):
    spec = sources["nycflights"]
    windows = spec.partitions.windows(NOW)[:WEEKS]
    own, time_columns = str(tmp_path / "lake"), {f"nycflights/{name}": "time_hour" for name in spec.tables}
    views = [view for view in definition.views if view.spec.name in LOOKBACK_DAYS]
    modes = []
    for part in (windows[:-1], windows[-1:]):
        ingest(spec, list(spec.tables), windows=part, lake=own, folder=tmp_path / "load", now=NOW)
        for view in views:
            wanted = view.spec.model_copy(update={"lookback_days": LOOKBACK_DAYS[view.spec.name]})
            found = refresh_view(wanted, view.sql, lake=own, time_columns=time_columns)
            modes.append((found.scope.mode, found.scope.reason))

    assert [mode for mode, _ in modes] == ["full"] * 3 + ["incremental"] * 3, modes
    for view in views:
        order = [(name, "ascending") for name in (*view.spec.entity, "event_timestamp", "known_at")]
        one, whole = (read(f"{root}/features/{view.spec.name}").sort_by(order) for root in (own, lake))
        assert one.equals(whole), view.spec.name


def test_the_same_set_built_five_times_with_two_threads_is_one_and_the_same(lake, sources, definition, built):
    """Spine and join on two threads; the default is one."""
    as_of = built.manifest.as_of
    found = set[str]()
    for _ in range(5):
        with connect(threads=2) as con:
            open_sources(con, lake, definition.spine.sources)
            spine = read_spine(con, definition, column="prediction_time", start=None, end=as_of)
            end = as_of - 2 * DAY
            rows, _ = labelled_rows(con, spine, definition, start=None, end=end, held=[])
            views = [view.joined for view in open_views(con, lake, definition)]
            found.add(identity(assemble(con, rows, definition, views).table))

    assert found == {identity(built.table)}


def test_the_portable_join_gives_the_same_training_set(lake, definition, built):
    spine = definition.spine.model_copy(update={"join": "portable_sql"})

    portable = build_training_set(
        replace(definition, spine=spine), lake=lake, as_of=built.manifest.as_of, held=[], window_days=None
    )

    assert portable.manifest.sha256 == built.manifest.sha256
    assert portable.manifest.spine_definition == built.manifest.spine_definition


@pytest.mark.service
def test_postgresql_gives_the_flights_the_same_features(lake, definition, built, postgres):  # noqa: F811  the fixture
    load(postgres, "nycflights.flights", read(f"{lake}/raw/nycflights/flights"))
    for view in definition.views:
        load(postgres, f"features.{view.spec.name}", read(view_uri(lake, view.spec.name)))

    found = run(postgres, warehouse_query(definition, "postgres"))

    keys = definition.spine.keys
    names = [*keys, "prediction_time", "label", "weekday", *(name.split(":")[1] for name in definition.features)]
    rows = {tuple(row[key] for key in keys): tuple(row[name] for name in names) for row in found}
    expected = {tuple(row[key] for key in keys): tuple(row[name] for name in names) for row in built.table.to_pylist()}
    assert {key: rows[key] for key in expected} == expected
    assert len(found) == len(rows) > len(expected) > 30_000
