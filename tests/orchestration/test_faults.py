"""Faults in the loop: each ends in a clear error, nothing is lost, and what answered before goes on answering."""

import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shop.deployment import JOB, TRAINING_WEEKS, Shop, error_of, value
from shop.world import Week, week_start, write_orders

from mlops_assets.lake.state import open_state
from mlops_assets.lake.tables import TableNotFound, read, snapshot
from mlops_assets.registry.lifecycle import known_card
from mlops_assets.registry.registry import MlflowRegistry
from mlops_assets.rollout.errors import ServerRefused
from mlops_assets.rollout.heartbeat import live_servers
from mlops_assets.rollout.routing import Routing, read_routing, route_of
from mlops_assets.rollout.settling import settle
from mlops_assets.rollout.traffic import give_all_traffic
from mlops_assets.settings import load_settings
from tests.waiting import until

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SERVED = TRAINING_WEEKS

# One process that ingests weeks of the shop by its job: once after a line on stdin, or over and over ("loop").
INGEST = """
import os
import sys
from pathlib import Path
import dagster as dg
from shop.world import Week, write_orders
from mlops_assets.cli.demo.replay import Replay
from mlops_assets.clock import SimulatedClock
from mlops_assets.definitions import build_definitions
from mlops_assets.resources.instance import open_instance
from mlops_assets.settings import load_settings
defs, first, last, mode = sys.argv[1:]
settings = load_settings()
with open_instance(settings) as instance:
    replay = Replay(build_definitions(Path(defs), strict=True), instance, SimulatedClock(settings.home / "clock"))
    print("ready", flush=True)
    sys.stdin.readline()
    scale = 1
    while True:
        if mode == "loop":  # equal rows are not written again
            scale = 3 - scale
            write_orders(Path(os.environ["SHOP_ORDERS"]), [Week(scale=scale)] * 25)
        replay.run_range("shop_ingest", first=first, last=last)
        if mode == "once":
            break
"""


@pytest.fixture
def deployed(shop: Shop) -> Shop:
    """Return a shop whose first version takes traffic from the first served week on."""
    shop.deploy()
    return shop


def edit(shop: Shop, folder: str, before: str, after: str) -> None:
    file = shop.defs / folder / "defs.yaml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    shop.reload()


def change_orders(file: Path, column: str, values: Callable[[list], list]) -> None:
    table = pq.read_table(file)
    place = table.column_names.index(column)
    changed = pa.array(values(table[column].to_pylist()), table.schema.field(place).type)
    pq.write_table(table.set_column(place, column, changed), file)


def set_labels(file: Path, label: bool | None, *, first: int, last: int) -> None:
    """Give every order of some weeks the same label."""
    low, high = week_start(first), week_start(last + 1)
    times = pq.read_table(file)["ordered_at"].to_pylist()
    change_orders(
        file, "returned", lambda old: [label if low <= t < high else o for t, o in zip(times, old, strict=True)]
    )


def routing_of(shop: Shop) -> tuple[Routing, int] | None:
    return read_routing(open_state(shop.lake), "returns")


def artefact_of(shop: Shop) -> Path:
    return Path(routing_of(shop)[0].champion.artifact_uri)


def junk(folder: Path) -> None:
    (folder / "model.skops").write_bytes(b"junk")


def remove(folder: Path) -> None:
    (folder / "model.skops").unlink()


# Labels


def test_labels_that_all_are_censored_stop_the_training_and_leave_the_traffic_alone(
    deployed: Shop, orders: Path
) -> None:
    before = routing_of(deployed)
    set_labels(orders, None, first=0, last=TRAINING_WEEKS - 1)
    deployed.ingest(0, TRAINING_WEEKS - 1)

    failed = deployed.replay.run(JOB, may_fail=True)

    assert not failed.success
    edge = week_start(TRAINING_WEEKS) - timedelta(days=4)
    times = [time for time in pq.read_table(orders)["ordered_at"].to_pylist() if time < week_start(TRAINING_WEEKS)]
    censored, pending = sum(time < edge for time in times), sum(time >= edge for time in times)
    assert f"no labelled row ({censored:,} censored, {pending:,} pending, 0 held)" in error_of(failed)
    assert routing_of(deployed) == before


def test_one_class_in_the_training_window_is_named(shop: Shop, orders: Path) -> None:
    set_labels(orders, False, first=0, last=TRAINING_WEEKS - 1)
    shop.prepare()

    failed = shop.replay.run(JOB, may_fail=True)

    assert not failed.success
    assert "label 0 on all" in error_of(failed)
    assert "required both classes" in error_of(failed)
    assert routing_of(shop) is None


def test_one_class_in_a_served_week_has_no_auc_and_no_labels_has_no_metrics(deployed: Shop, orders: Path) -> None:
    set_labels(orders, False, first=SERVED, last=SERVED)
    set_labels(orders, None, first=SERVED + 1, last=SERVED + 1)

    for week in (SERVED, SERVED + 1):
        deployed.serve_week(week)
    deployed.replay.clock.set(week_start(SERVED + 4))
    found = [deployed.replay.run("returns_monitor", partition=deployed.key(week)) for week in (SERVED, SERVED + 1)]

    one_class, none = [json.loads(Path(str(value(run, "quality_report", "dagster/uri"))).read_text()) for run in found]
    assert one_class["overall"]["labelled"] == 420
    assert one_class["overall"]["metrics"]["roc_auc"] is None
    assert one_class["overall"]["metrics"]["brier"] > 0
    assert "roc_auc, average_precision: undefined where every label is 0" in str(
        value(found[0], "quality_report", "notes")
    )
    assert (none["overall"]["labelled"], none["pending"], none["censored"]) == (0, 0, 420)
    assert set(none["overall"]["metrics"].values()) == {None}


# Windows


def test_an_empty_week_is_scored_and_watched_without_an_alarm(shop: Shop, orders: Path) -> None:
    write_orders(orders, [Week()] * SERVED + [Week(rows=0), Week()])
    shop.deploy()

    empty = shop.serve_week(SERVED)
    full = shop.serve_week(SERVED + 1)

    assert value(empty, "profile", "dagster/row_count") == 0
    assert value(empty, "drift_report", "state") == "insufficient"
    assert value(empty, "quality_report", "dagster/row_count") == 0
    assert value(full, "drift_report", "decision") == "hold"
    assert read(f"{shop.lake}/predictions/returns").num_rows == 420


def test_scoring_before_the_first_deployment_is_refused(shop: Shop) -> None:
    shop.prepare()
    never = shop.replay.run("returns_score", partition=shop.key(3), may_fail=True)
    shop.replay.run(JOB)
    too_early = shop.replay.run("returns_score", partition=shop.key(3), may_fail=True)

    assert not never.success
    assert "no version routed yet" in error_of(never)
    assert "materialise `returns/deployment` first" in error_of(never)
    assert not too_early.success
    assert f"the first version routed at {week_start(TRAINING_WEEKS).isoformat()}" in error_of(too_early)
    with pytest.raises(TableNotFound):
        read(f"{shop.lake}/predictions/returns")


# SQL


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("as mean_amount", "as mean_of_amount", "required also mean_amount"),
        ("avg(amount)", "avg(amount", "SQL of features/customer: found Parser Error"),
        (
            "avg(amount)",
            "avg(no_such_column)",
            'SQL of features/customer: found Binder Error: Referenced column "no_such',
        ),
    ],
    ids=["lacks a column", "does not parse", "does not bind"],
)
def test_feature_sql_that_does_not_run_is_named_and_the_table_stays(
    shop: Shop, before: str, after: str, message: str
) -> None:
    shop.ingest(0, 1)
    shop.replay.run("features_refresh")
    table = f"{shop.lake}/features/customer"
    version = snapshot(table).version
    edit(shop, "customer", before, after)

    failed = shop.replay.run("features_refresh", may_fail=True)

    assert not failed.success
    assert message in error_of(failed)
    assert snapshot(table).version == version
    assert read(table).num_rows == 840


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("returned::int as label, ", "", "required also label"),
        ("select order_id, customer", "selec order_id, customer", "Parser Error"),
    ],
    ids=["lacks a column", "does not parse"],
)
def test_spine_sql_that_does_not_run_is_named_before_anything_is_scored_or_trained(
    deployed: Shop, before: str, after: str, message: str
) -> None:
    routed = routing_of(deployed)
    sets = sorted(Path(deployed.lake, "training_sets").rglob("*"))
    edit(deployed, "returns", before, after)
    deployed.ingest(SERVED, SERVED)

    trained = deployed.replay.run(JOB, may_fail=True)
    scored = deployed.replay.run("returns_score", partition=deployed.key(SERVED), may_fail=True)

    for failed in (trained, scored):
        assert not failed.success
        assert message in error_of(failed)
    assert routing_of(deployed) == routed
    assert sorted(Path(deployed.lake, "training_sets").rglob("*")) == sets


# Models


@pytest.mark.parametrize(("spoil", "found"), [(remove, "no such file"), (junk, "sha256 ")])
def test_a_missing_or_corrupt_model_is_named_at_scoring_and_nothing_else_changes(
    deployed: Shop, spoil: Callable[[Path], None], found: str
) -> None:
    deployed.serve_week(SERVED)
    table, routed = f"{deployed.lake}/predictions/returns", routing_of(deployed)
    before = read(table)
    deployed.ingest(SERVED + 1, SERVED + 1)
    spoil(artefact_of(deployed))

    failed = deployed.replay.run("returns_score", partition=deployed.key(SERVED + 1), may_fail=True)

    assert not failed.success
    assert f"file model.skops: found {found}" in error_of(failed)
    assert read(table).equals(before)
    assert routing_of(deployed) == routed


@pytest.fixture
def serve(shop: Shop) -> Iterator[Callable[[], str]]:
    """Start `mlops serve` for the shop; the function returns its URL once it beats."""
    started: list[subprocess.Popen[str]] = []

    def start() -> str:
        command = [sys.executable, "-m", "mlops_assets.cli.app", "serve", "--port", "0"]
        log = (shop.home / "server.log").open("w")
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        started.append(process)
        assert process.stdout is not None
        url = process.stdout.readline().split(" on ")[1].split()[0]
        until(lambda: bool(live_servers(shop.home, env="dev")))
        return url

    yield start
    for process in started:
        process.kill()
        process.wait()


def ask(url: str) -> dict:
    order = {"amount": 30.0, "channel": "app", "mean_amount": 31.0}
    body = json.dumps({"dataframe_records": [order]}).encode()
    request = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


@pytest.mark.parametrize("spoil", [remove, junk])
def test_a_broken_version_is_not_routed_and_where_it_is_the_server_keeps_the_old_one_and_traffic_goes_back(
    shop: Shop, serve: Callable[[], str], spoil: Callable[[Path], None]
) -> None:
    edit(shop, "returns", "{n_estimators: 40, max_depth: 3}", "{n_estimators: 1, max_depth: 1}")
    shop.deploy()
    url = serve()
    assert ask(url)["version"] == 1

    edit(shop, "returns", "{n_estimators: 1, max_depth: 1}", "{n_estimators: 40, max_depth: 3}")
    better = shop.materialize("training_set", "candidate", "evaluation", "registered_version")
    assert value(better, "registered_version", "version") == 2
    spoil(Path(str(value(better, "registered_version", "artifact"))))
    refused = shop.materialize("deployment")

    assert not refused.success
    assert "model.skops" in error_of(refused)
    assert [entry.route.version for entry in routing_of(shop)[0].history] == [1]

    with pytest.raises(ServerRefused, match=f"on {url}.*model.skops"):  # it breaks between our look and the server's
        route_all_the_same(shop, 2)
    routing, generation = routing_of(shop)
    assert [entry.route.version for entry in routing.history] == [1, 2, 1]
    until(lambda: ask(url)["generation"] == generation)
    assert ask(url)["version"] == 1
    assert "model.skops" in (shop.home / "server.log").read_text()


def route_all_the_same(shop: Shop, version: int) -> None:
    state, settings, now = open_state(shop.lake), load_settings(), shop.replay.clock.now()
    route = route_of(known_card(state, "returns", version))
    generation = give_all_traffic(state, "returns", route, now=now, reason="a drill")
    registry = MlflowRegistry(settings.mlflow_uri, settings.env)
    settle(registry, state, "returns", generation, home=shop.home, env="dev", now=now, timeout_s=30)


# Killed, and two at once


def start_ingest(shop: Shop, first: int, last: int, mode: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", INGEST, str(shop.defs), shop.key(first), shop.key(last), mode],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def rows_by_week(shop: Shop) -> dict[int, int]:
    ids = read(f"{shop.lake}/raw/shop/orders")["order_id"].to_pylist()
    assert len(ids) == len(set(ids)), "a row came twice"
    return dict(sorted(Counter(number // 1_000_000 for number in ids).items()))


def commits(shop: Shop) -> int:
    return len(list(Path(shop.lake, "raw", "shop", "orders", "_delta_log").glob("*.json")))


def test_a_run_killed_while_it_writes_leaves_whole_windows_and_runs_again(shop: Shop) -> None:
    chance, killed_after = random.Random(0), []
    for _ in range(4):
        before = commits(shop)
        process = start_ingest(shop, 0, 5, "loop")
        go(process)
        until(lambda before=before: commits(shop) > before)
        time.sleep(chance.random() * 0.5)
        process.kill()
        process.wait()
        killed_after.append(commits(shop) - before)
        assert set(rows_by_week(shop).values()) == {420}, "a window was read that was half written"

    write_orders(Path(os.environ["SHOP_ORDERS"]), [Week()] * 25)  # its writer may have been killed too
    shop.ingest(0, 5)
    assert rows_by_week(shop) == dict.fromkeys(range(6), 420), killed_after


def test_two_runs_that_write_the_same_window_of_an_empty_lake_leave_every_row_once(shop: Shop) -> None:
    processes = [start_ingest(shop, 0, 1, "once") for _ in range(2)]
    for process in processes:
        go(process)

    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert rows_by_week(shop) == {0: 420, 1: 420}
