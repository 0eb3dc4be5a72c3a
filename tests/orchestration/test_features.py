"""Feature views in Dagster: what they show, what a changed definition makes stale, and the replay of what was scored."""

import re
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from shop.deployment import TRAINING_WEEKS, Shop, value

from mlops_assets.cli.demo.replay import metadata_of
from mlops_assets.features.training_set import load
from mlops_assets.lake.tables import read

VIEW, TRAINING_SET = dg.AssetKey(["features", "customer"]), dg.AssetKey(["returns", "training_set"])
PREDICTIONS = dg.AssetKey(["returns", "predictions"])


def edit(shop: Shop, file: str, before: str, after: str) -> None:
    path = shop.defs / file / "defs.yaml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    shop.reload()


def one_more(shop: Shop) -> None:
    """Change what the feature means."""
    edit(shop, "customer", "rows 4 preceding) as mean_amount", "rows 4 preceding) + 1 as mean_amount")


def stale_statuses(shop: Shop) -> dict[dg.AssetKey, StaleStatus]:
    graph = shop.replay.definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(shop.replay.instance, graph, LoadingContextForTest(shop.replay.instance))
    return {key: resolver.get_status(key) for key in (VIEW, TRAINING_SET)}


def data_version(shop: Shop) -> str:
    event = shop.replay.instance.get_latest_materialization_event(VIEW)
    return event.asset_materialization.tags["dagster/data_version"]


def refreshed(shop: Shop, **config: object) -> dict:
    job = shop.replay.definitions.resolve_job_def("features_refresh")
    run_config = {"ops": {"features__customer": {"config": config}}}
    result = job.execute_in_process(instance=shop.replay.instance, run_config=run_config)
    return metadata_of(result, "customer")


def test_a_view_shows_its_definition_owner_columns_lineage_and_statistics(shop: Shop) -> None:
    shop.ingest(0, 1)
    shop.replay.run("features_refresh")

    node = shop.replay.definitions.resolve_asset_graph().get(VIEW)
    event = shop.replay.instance.get_latest_materialization_event(VIEW).asset_materialization
    found = {name: one.value for name, one in event.metadata.items()}

    assert node.owners == ["team:ml"]
    assert found["definition"].startswith(node.code_version)
    columns = {one.name: one.description for one in found["dagster/column_schema"].columns}
    assert list(columns) == ["customer", "event_timestamp", "known_at", "mean_amount"]
    assert columns["mean_amount"] == "Mean amount of the last five orders."
    raw = dg.AssetKey(["raw", "shop", "orders"])
    assert {
        name: [(dep.asset_key, dep.column_name) for dep in deps]
        for name, deps in found["dagster/column_lineage"].deps_by_column.items()
    } == {
        "customer": [(raw, "customer")],
        "event_timestamp": [(raw, "ordered_at")],
        "known_at": [(raw, "ordered_at")],
        "mean_amount": [(raw, "amount"), (raw, "customer"), (raw, "ordered_at")],  # the window's columns count
    }
    values = read(f"{shop.lake}/features/customer")["mean_amount"].to_numpy()
    row = found["statistics"].splitlines()[-1].split(" | ")
    assert row[0] == "| mean_amount"
    assert [float(cell) for cell in row[2:5]] == pytest.approx([values.min(), values.mean(), values.max()], rel=1e-3)
    assert int(row[5].rstrip(" |")) == len(set(values))
    assert found["null_share/mean_amount"] == 0


def test_a_query_that_cannot_be_traced_says_so_and_the_view_is_there(shop: Shop) -> None:
    nothing = "select customer, ordered_at as event_timestamp, ordered_at as known_at, 0 as mean_amount from orders"
    edit(shop, "customer", "    from orders\n", f"    from orders\n    union all by name {nothing} where false\n")
    shop.ingest(0, 0)
    found = refreshed(shop)

    assert found["dagster/row_count"] == 420
    assert found["lineage"].startswith("not traced: `union by name`")
    assert "dagster/column_lineage" not in found


def test_two_models_share_one_view(shop: Shop) -> None:
    twin = shop.defs / "refunds" / "defs.yaml"
    twin.parent.mkdir()
    twin.write_text((shop.defs / "returns" / "defs.yaml").read_text().replace("name: returns", "name: refunds"))
    shop.reload()

    children = shop.replay.definitions.resolve_asset_graph().get(VIEW).child_keys

    assert {key.path[0] for key in children} == {"returns", "refunds"}


@pytest.mark.slow
def test_a_changed_query_makes_its_dependants_stale_and_no_old_training_set_other(shop: Shop) -> None:
    shop.prepare()
    made = shop.materialize("training_set")
    uri = str(value(made, "training_set", "mlops/training_set"))
    files = {path: path.read_bytes() for path in Path(uri).iterdir()}
    assert set(stale_statuses(shop).values()) == {StaleStatus.FRESH}

    one_more(shop)
    assert set(stale_statuses(shop).values()) == {StaleStatus.STALE}
    refused = shop.materialize("training_set")
    assert not refused.success  # the table of the view is still the one of the old definition

    before = data_version(shop)
    shop.replay.run("features_refresh")
    assert stale_statuses(shop) == {VIEW: StaleStatus.FRESH, TRAINING_SET: StaleStatus.STALE}
    assert data_version(shop) != before
    again = shop.materialize("training_set")

    assert str(value(again, "training_set", "mlops/training_set")) != uri
    assert {path: path.read_bytes() for path in Path(uri).iterdir()} == files
    assert load(uri).manifest.rows > 0
    assert set(stale_statuses(shop).values()) == {StaleStatus.FRESH}


@pytest.mark.slow
def test_words_for_people_change_nothing(shop: Shop) -> None:
    shop.prepare()
    shop.materialize("training_set")

    edit(shop, "customer", "Mean amount of the last five orders.", "The average of five.")
    edit(shop, "customer", "ttl_days: 60", "ttl_days: 60\n  lookback_days: 14")

    assert set(stale_statuses(shop).values()) == {StaleStatus.FRESH}


@pytest.mark.parametrize(
    ("file", "before", "after", "is_other"),
    [
        ("customer", "rows 4 preceding", "rows 5 preceding", True),
        ("customer", "ttl_days: 60", "ttl_days: 61", True),
        ("returns", "ordered_at + interval 3 day", "ordered_at + interval 4 day", True),
        ("returns", "label_timeout_days: 4", "label_timeout_days: 5", True),
        ("returns", "inputs: [amount, channel]", "inputs: [amount]", True),
        ("returns", "Will an order come back", "Does an order come back", False),
        ("returns", "n_estimators: 40", "n_estimators: 41", False),
    ],
)
def test_the_version_of_a_training_set_is_what_decides_its_rows(shop, file, before, after, is_other) -> None:
    def version() -> str:
        return shop.replay.definitions.resolve_asset_graph().get(TRAINING_SET).code_version

    old = version()
    edit(shop, file, before, after)

    assert (version() != old) == is_other


def test_a_refresh_that_changes_nothing_commits_nothing_and_keeps_the_data_version(shop: Shop) -> None:
    shop.ingest(0, 3)
    first = refreshed(shop)
    version = data_version(shop)

    shop.ingest(3, 3)
    again = refreshed(shop)

    assert (first["committed"], again["committed"]) == (True, False)
    assert again["delta_version"] == first["delta_version"]
    assert data_version(shop) == version
    shop.ingest(4, 4)
    refreshed(shop)
    assert data_version(shop) != version


def test_a_view_with_a_lookback_is_refreshed_by_its_end_and_says_so(shop: Shop) -> None:
    edit(shop, "customer", "ttl_days: 60", "ttl_days: 60\n  lookback_days: 14")
    shop.ingest(0, 11)
    assert refreshed(shop)["refresh"] == "full: the first refresh"
    assert refreshed(shop)["refresh"] == "unchanged: no raw row changed"
    shop.ingest(12, 12)

    found = refreshed(shop)
    first = read(f"{shop.lake}/raw/shop/orders", window=shop.key(12))["ordered_at"].to_pylist()[0]
    assert re.fullmatch(
        rf"incremental from 2024-03-\d\dT00:00:00\+00:00: raw rows from {re.escape(first.isoformat())} on changed; "
        "lookback_days is 14",
        found["refresh"],
    )
    assert found["dagster/row_count"] == 13 * 420
    assert refreshed(shop, full=True)["refresh"] == "full: asked for"


@pytest.fixture
def served(shop: Shop) -> Shop:
    """Return a shop whose model is in traffic, with one week scored and watched."""
    shop.deploy()
    shop.serve_week(TRAINING_WEEKS)
    return shop


def watch(shop: Shop, *, may_fail: bool = False) -> tuple[dg.ExecuteInProcessResult, dg.AssetCheckEvaluation]:
    """Watch the scored week again; return the run and what the replay said."""
    result = shop.replay.run("returns_monitor", partition=shop.key(TRAINING_WEEKS), may_fail=may_fail)
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "no_skew"]
    return result, found


@pytest.mark.slow
def test_what_was_scored_is_replayed_when_its_window_is_watched(served: Shop) -> None:
    _, clean = watch(served)
    assert (clean.asset_key, clean.passed, clean.partition) == (PREDICTIONS, True, served.key(TRAINING_WEEKS))
    assert clean.metadata["checked_rows"].value == clean.metadata["logged_rows"].value == 420
    assert clean.metadata["compared"].value == "amount, channel, mean_amount, prediction_time"

    one_more(served)
    _, stale = watch(served)
    assert not stale.passed
    assert "Not replayed: features/customer" in stale.description

    served.replay.run("features_refresh")
    result, found = watch(served)
    assert result.success  # a warning
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description.startswith("mean_amount: 420 rows differ, by up to 1 (order_id=12")

    served.replay.run("returns_score", partition=served.key(TRAINING_WEEKS))
    assert watch(served)[1].passed


@pytest.mark.slow
def test_a_replay_that_blocks_fails_the_run(served: Shop) -> None:
    edit(
        served,
        "returns",
        "leakage_check: {samples: 3}",
        "leakage_check: {samples: 3}\n  skew_check: {severity: block, samples: 50}",
    )
    result, found = watch(served)
    assert (result.success, found.passed, found.metadata["checked_rows"].value) == (True, True, 50)

    one_more(served)
    served.replay.run("features_refresh")
    result, found = watch(served, may_fail=True)

    assert not result.success
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)


def test_scoring_does_not_replay_what_it_just_wrote(shop: Shop) -> None:
    jobs = {job: shop.replay.definitions.resolve_job_def(job) for job in ("returns_score", "returns_monitor")}

    checks = {name: {key.name for key in job.asset_layer.asset_graph.asset_check_keys} for name, job in jobs.items()}

    assert "no_skew" not in checks["returns_score"]
    assert "no_skew" in checks["returns_monitor"]
