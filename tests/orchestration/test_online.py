"""Online rows in Dagster: made by the refresh of the features, read as of now, forgotten by a command."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from shop.deployment import Shop
from shop.world import week_start
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.components.catalog import read_catalog
from mlops_assets.features.definition import View
from mlops_assets.features.online.places import open_store
from mlops_assets.features.online.reader import OnlineReader
from mlops_assets.features.online.schema import view_schema
from mlops_assets.lake.tables import read, snapshot
from mlops_assets.resources.places import OnlineResource, build_resources
from mlops_assets.settings import load_settings

ONLINE = dg.AssetKey(["online_features", "customer"])


@pytest.fixture
def online(shop: Shop) -> Shop:
    """Return the shop with its view online, four weeks ingested and refreshed."""
    file = shop.defs / "customer" / "defs.yaml"
    file.write_text(file.read_text() + '  online: true\n  schedule: "0 5 * * *"\n')
    shop.reload()
    shop.replay.clock.set(week_start(4))
    shop.ingest(0, 3)
    shop.replay.run("features_refresh")
    return shop


def reader_of(shop: Shop) -> OnlineReader:
    entry = read_catalog(shop.defs).view("customer")
    schema = view_schema(View(entry.spec, entry.spec.sql.strip()), snapshot(f"{shop.lake}/features/customer").schema)
    settings = load_settings()
    return OnlineReader(open_store(settings.online, env=settings.env), [schema], ["customer:mean_amount"])


def newest_of(shop: Shop, customer: str) -> float:
    """Return the newest mean amount that the offline table has of a customer, by a look at all of its rows."""
    rows = read(f"{shop.lake}/features/customer").to_pylist()
    own = [row for row in rows if row["customer"] == customer and row["known_at"] <= shop.replay.clock.now()]
    return max(own, key=lambda row: (row["event_timestamp"], row["known_at"]))["mean_amount"]


def test_a_refresh_of_the_features_brings_the_newest_rows_online(online: Shop) -> None:
    customers = [f"c{number}" for number in range(60)]
    found = reader_of(online).read([{"customer": name} for name in customers], now=online.replay.clock.now())

    assert list(found.columns["mean_amount"]) == [newest_of(online, name) for name in customers]
    assert all(moment and moment < online.replay.clock.now() for moment in found.features_as_of)


def test_the_next_refresh_writes_what_changed_and_ttl_counts_at_the_read(online: Shop) -> None:
    online.replay.clock.set(week_start(5))
    online.ingest(4, 4)
    result = online.replay.run("features_refresh")

    (metadata,) = [
        event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key == ONLINE
    ]
    assert metadata["is_rebuild"].value is False
    assert 0 < metadata["written"].value <= 60
    reader, now = reader_of(online), online.replay.clock.now()
    assert reader.read([{"customer": "c1"}], now=now).columns["mean_amount"] == (newest_of(online, "c1"),)
    (as_of,) = reader.read([{"customer": "c1"}], now=now).features_as_of
    edge = as_of + timedelta(days=60)
    assert reader.read([{"customer": "c1"}], now=edge).columns["mean_amount"] == (newest_of(online, "c1"),)
    assert reader.read([{"customer": "c1"}], now=edge + timedelta(microseconds=1)).columns["mean_amount"] == (None,)


def test_a_person_forgotten_by_the_command_stays_away_after_the_next_refresh(online: Shop) -> None:
    done = CliRunner().invoke(app, ["forget-online", "customer", "customer=c1", "--defs", str(online.defs)])
    assert done.exit_code == 0, done.output
    assert "forgotten online" in done.output

    online.replay.clock.set(week_start(5))
    online.ingest(4, 4)
    online.replay.run("features_refresh")

    found = reader_of(online).read([{"customer": "c1"}, {"customer": "c2"}], now=online.replay.clock.now())
    assert found.columns["mean_amount"] == (None, newest_of(online, "c2"))


@pytest.mark.parametrize(("entity", "exit_code"), [("customer", 2), ("client=c1", 1)])
def test_a_mistake_in_the_command_is_told(online: Shop, entity: str, exit_code: int) -> None:
    done = CliRunner().invoke(app, ["forget-online", "customer", entity, "--defs", str(online.defs)])

    assert done.exit_code == exit_code


def test_the_schedule_of_a_view_refreshes_its_online_rows_too(online: Shop) -> None:
    schedule = online.replay.definitions.resolve_schedule_def("customer_refresh_schedule")
    ticked = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=week_start(5)))

    assert [set(request.asset_selection or []) for request in ticked.run_requests or []] == [
        {dg.AssetKey(["features", "customer"]), ONLINE}
    ]


def test_the_online_asset_depends_on_its_view_alone(online: Shop) -> None:
    graph = online.replay.definitions.resolve_asset_graph()

    assert graph.get(ONLINE).parent_keys == {dg.AssetKey(["features", "customer"])}
    assert graph.get(ONLINE).group_name == "online_features"
    assert graph.get(ONLINE).partitions_def is None


def test_a_view_that_is_not_online_has_no_online_asset(shop: Shop) -> None:
    assert ONLINE not in shop.replay.definitions.resolve_asset_graph().get_all_asset_keys()


def test_a_password_in_the_url_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "redis://:open-sesame@127.0.0.1:6379/3"
    monkeypatch.setenv("MLOPS_ONLINE_STORE", url)
    resource = build_resources(load_settings())["online"]

    assert "open-sesame" not in repr(resource)
    assert "open-sesame" not in str(
        dg.Definitions(resources={"online": resource}).get_repository_def().get_top_level_resources()
    )
    seen = []

    @dg.asset
    def reads(online: OnlineResource) -> None:
        seen.append(online.url)

    assert dg.materialize([reads], resources={"online": resource}).success
    assert seen == [url]
