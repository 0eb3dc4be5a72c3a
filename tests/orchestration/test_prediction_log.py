"""The prediction log as an asset: compacted, summed up, labelled and replayed, with and without anything to compact."""

from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from predictions.log.served import answer, write_segment
from shop.deployment import TRAINING_WEEKS, Shop, value
from shop.world import week_start
from sklearn.metrics import roc_auc_score

from mlops_assets.assets.model import resolve_model
from mlops_assets.components.catalog import read_catalog
from mlops_assets.features.vectors import window_vectors
from mlops_assets.lake.tables import read
from mlops_assets.lake.windows import Window
from mlops_assets.predictions.log.table import log_uri

DAY = timedelta(days=1)


def vectors_of(shop: Shop, days: int = 2) -> list[dict]:
    """Return orders with the vectors that their time had, a week before the clock's time."""
    definition = resolve_model(read_catalog(shop.defs), "returns").definition()
    start = week_start(TRAINING_WEEKS - 1)
    window = Window("any", start, start + days * DAY)
    return window_vectors(definition, lake=shop.lake, window=window).to_pylist()


def serve(shop: Shop, rows: list[dict], name: str = "00-w1-1.jsonl", torn: bytes = b"", **more: object) -> Path:
    """Log orders as a server would have answered them; nothing but the segment tells of it."""
    lines = [
        answer(
            number,
            row["amount"] / 1000,
            event_id=f"{name}-{number}",
            at=row["prediction_time"],
            request=[{key: row[key] for key in ("order_id", "customer", "amount", "channel")}],
            features={key: [row[key]] for key in ("mean_amount", "amount", "channel")},
            features_as_of=[int(row["prediction_time"].timestamp() * 1e6)],
            latency_us=1000 * (number + 1),
            **more,
        )
        for number, row in enumerate(rows)
    ]
    return write_segment(shop.home / "capture" / "dev", lines, name, torn=torn)


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def test_a_model_that_nobody_served_has_an_empty_log(shop: Shop) -> None:
    result = shop.replay.run("returns_log")

    assert value(result, "prediction_log", "rows_added") == 0
    assert all(check.passed for check in checks_of(result).values())
    assert set(checks_of(result)) == {"no_torn_lines", "no_skew_served"}


@pytest.mark.slow
def test_what_was_served_is_counted_labelled_and_replayed(shop: Shop) -> None:
    shop.prepare()
    rows = vectors_of(shop)
    serve(shop, rows, torn=b'{"captureData"')
    serve(shop, rows[:3], "00-w2-1.jsonl", assigned="challenger", error="it broke")
    ahead = [{**rows[0], "order_id": 10**9, "mean_amount": -1.0, "prediction_time": week_start(TRAINING_WEEKS + 500)}]
    serve(shop, ahead, "00-w3-1.jsonl")  # a clock was wrong for a moment

    result = shop.replay.run("returns_log")

    logged = read(log_uri(shop.lake, "returns")).to_pylist()
    assert len(logged) == value(result, "prediction_log", "rows_added") == len(rows) + 3 + 1
    assert {type(row["order_id"]) for row in logged} == {str}
    newest = max(row["prediction_time"] for row in rows)
    assert value(result, "prediction_log", "age_seconds") == (week_start(TRAINING_WEEKS) - newest).total_seconds()
    assert datetime.fromisoformat(value(result, "prediction_log", "newest_request")) == newest
    checks = checks_of(result)
    assert (checks["no_torn_lines"].passed, checks["no_torn_lines"].severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "1 torn" in checks["no_torn_lines"].description
    assert checks["no_skew_served"].passed, checks["no_skew_served"].description
    on_newest_day = sum(row["prediction_time"].date() == newest.date() for row in rows)
    assert checks["no_skew_served"].metadata["checked_rows"].value == on_newest_day > 30
    assert checks["no_skew_served"].metadata["compared"].value == "amount, channel, mean_amount"
    orders = {row["order_id"]: row for row in read(f"{shop.lake}/raw/shop/orders").to_pylist()}
    truth = [orders[row["order_id"]]["returned"] for row in [*rows, *rows[:3]]]
    expected = roc_auc_score(truth, [row["amount"] for row in [*rows, *rows[:3]]])
    assert value(result, "prediction_log", "served/roc_auc") == pytest.approx(expected)
    assert value(result, "prediction_log", "labelled") == len(rows) + 3

    skewed = [{**row, "mean_amount": (row["mean_amount"] or 0) + 1} for row in vectors_of(shop, days=3)[-30:]]
    serve(shop, skewed, version=2)
    found = checks_of(shop.replay.run("returns_log"))["no_skew_served"]

    assert not found.passed
    assert found.description.startswith("mean_amount: 30 rows differ")


@pytest.mark.slow
def test_old_days_go_from_segments_and_table(shop: Shop) -> None:
    file = shop.defs / "returns" / "defs.yaml"
    file.write_text(file.read_text() + "  prediction_log: {retention_days: 3, schedule: '*/15 * * * *'}\n")
    shop.reload()
    shop.prepare()
    now = week_start(TRAINING_WEEKS)
    row = {"order_id": 1, "customer": "c1", "amount": 2.0, "channel": "app", "mean_amount": 1.0}
    serve(shop, [{**row, "prediction_time": now - days * DAY} for days in (1, 2)])
    shop.replay.run("returns_log")
    shop.replay.clock.set(now + DAY)
    serve(shop, [{**row, "prediction_time": now - days * DAY} for days in (0, 8)], "01-w1-1.jsonl")

    result = shop.replay.run("returns_log")

    assert value(result, "prediction_log", "expired_rows") == 1
    kept = read(log_uri(shop.lake, "returns"))["prediction_time"].to_pylist()
    assert sorted(kept) == [now - 2 * DAY, now - DAY, now]
    schedules = {one.name: one.cron_schedule for one in shop.replay.definitions.get_repository_def().schedule_defs}
    assert schedules["returns_log_schedule"] == "*/15 * * * *"
