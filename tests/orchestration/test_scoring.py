"""Scoring as a job: a contract that refuses, drift that holds back, a range of windows in one run."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from shop.deployment import Shop, error_of, value
from shop.world import Week, week_start, write_orders
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.lake.state import open_state
from mlops_assets.lake.tables import newest_version, read, snapshot
from mlops_assets.predictions.held import held_outputs
from mlops_assets.predictions.score import predictions_uri
from mlops_assets.retraining.held import held_windows

pytestmark = pytest.mark.slow
KEY = dg.AssetKey(["returns", "predictions"])
SCORE = "returns_score"


@pytest.fixture
def shop(deployed: Shop) -> Iterator[Shop]:
    """Return the shop with weeks 12 to 14 ingested; whatever a test writes into the model's file is undone."""
    file = deployed.defs / "returns" / "defs.yaml"
    before = file.read_text()
    deployed.replay.clock.set(week_start(15))
    deployed.ingest(12, 14)
    deployed.replay.run("features_refresh")
    yield deployed
    file.write_text(before)
    deployed.reload()


def declare(shop: Shop, scoring: str) -> None:
    file = shop.defs / "returns" / "defs.yaml"
    kept = [line for line in file.read_text().splitlines() if "scoring:" not in line]
    file.write_text("\n".join([*kept, f"  scoring: {scoring}", ""]))
    shop.reload()


def score(shop: Shop, week: int, *, may_fail: bool = False) -> dg.ExecuteInProcessResult:
    return shop.replay.run(SCORE, partition=shop.key(week), may_fail=may_fail)


def ids(shop: Shop, week: int) -> list[int]:
    return read(predictions_uri(shop.lake, "returns"), window=shop.key(week))["order_id"].to_pylist()


def failed_checks(result: dg.ExecuteInProcessResult) -> set[tuple[str, str | None]]:
    return {(one.check_name, one.partition) for one in result.get_asset_check_evaluations() if not one.passed}


def score_range(shop: Shop, first: int, last: int) -> dg.ExecuteInProcessResult:
    ends = {"start": shop.key(first), "end": shop.key(last)}
    return shop.replay.run(SCORE, tags={f"dagster/asset_partition_range_{end}": key for end, key in ends.items()})


def test_a_refused_window_stays_as_it_was_and_the_failure_says_why(shop: Shop) -> None:
    score(shop, 12)
    version = newest_version(predictions_uri(shop.lake, "returns"))
    declare(shop, "{contract: {mean_max: 0.01}}")

    refused = score(shop, 12, may_fail=True)

    assert not refused.success
    assert f"returns/predictions, window {shop.key(12)}: found score_mean: mean 0." in error_of(refused)
    assert "required at most 0.01" in error_of(refused)
    assert failed_checks(refused) == {("score_mean", shop.key(12))}
    assert newest_version(predictions_uri(shop.lake, "returns")) == version
    report = json.loads(Path(shop.lake, "prediction_reports", "returns", f"{shop.key(12)}.json").read_text())
    assert report["outcome"] == "refused"
    declare(shop, "{contract: {mean_max: 0.01, severity: warn}}")
    warned = score(shop, 12)
    assert value(warned, "predictions", "outcome") == "published"
    assert failed_checks(warned) == {("score_mean", shop.key(12))}


def test_a_range_is_scored_in_one_run_window_by_window_and_again_without_a_trace(shop: Shop) -> None:
    result = score_range(shop, 12, 14)

    events = result.asset_materializations_for_node("returns__predictions")
    assert sorted(event.partition for event in events) == [shop.key(week) for week in (12, 13, 14)]
    assert [len(ids(shop, week)) for week in (12, 13, 14)] == [420, 420, 420]
    before = read(predictions_uri(shop.lake, "returns"))
    score_range(shop, 12, 14)
    assert read(predictions_uri(shop.lake, "returns")).equals(before)
    assert len(snapshot(predictions_uri(shop.lake, "returns")).files) == 3


def test_scores_that_nobody_could_judge_leave_no_file_behind(shop: Shop) -> None:
    declare(shop, "{hold_on_drift: true}")
    score(shop, 12)
    files = sorted(Path(shop.lake, "predictions").rglob("*.parquet"))
    held = Path(shop.lake, "held", "returns.json")
    held.parent.mkdir(exist_ok=True)
    held.write_text("{}")

    failed = score(shop, 13, may_fail=True)
    held.unlink()

    assert "State held/returns: found 2 bytes that are no state object" in error_of(failed)
    assert sorted(Path(shop.lake, "predictions").rglob("*.parquet")) == files


def test_a_window_that_drifted_suddenly_is_held_back_until_it_is_mended_or_released(shop: Shop) -> None:
    calm, orders = [Week()] * 25, shop.home.parent / "orders.parquet"
    declare(shop, "{hold_on_drift: true}")
    for week in range(12, 17):
        shop.serve_week(week)
    state = open_state(shop.lake)

    write_orders(orders, [*calm[:17], Week(scale=100)])
    watched = shop.serve_week(17)

    assert list(held_outputs(state, "returns")) == [shop.key(17)]
    assert (len(ids(shop, 16)), ids(shop, 17)) == (420, [])
    assert value(watched, "profile", "dagster/row_count") == 420
    assert value(watched, "drift_report", "decision") == "investigate"
    held = score(shop, 17)
    assert value(held, "predictions", "outcome") == "held"
    assert failed_checks(held) == {("inputs_as_before", shop.key(17))}

    write_orders(orders, calm)
    shop.ingest(17, 17)
    shop.replay.run("features_refresh")
    mended = score(shop, 17)

    assert value(mended, "predictions", "outcome") == "published"
    assert failed_checks(mended) == set()
    assert held_outputs(state, "returns") == {}
    assert len(ids(shop, 17)) == 420

    write_orders(orders, [*calm[:18], Week(scale=100)])
    shop.serve_week(18)
    listed = CliRunner().invoke(app, ["held", "returns"], env={"COLUMNS": "300"}).output
    released = CliRunner().invoke(app, ["release", "returns", shop.key(18)])

    assert "420 predictions" in listed
    assert "420 predictions of" in released.output
    assert shop.key(18) not in [held.window.key for held in held_windows(state, "returns")]
    assert len(ids(shop, 18)) == 420
    assert value(score(shop, 18), "predictions", "outcome") == "published", "the same rows were let pass"
