"""A failing challenger under load: several workers, nobody who asks sees it, and the traffic goes back without Dagster."""

import json
import threading
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.clock import SystemClock
from mlops_assets.lake.state import LocalState
from mlops_assets.rollout.routing import read_routing
from mlops_assets.rollout.state import Route, Traffic
from mlops_assets.serving.fast_fail import FastFail
from mlops_assets.serving.shadow import ROWS_TOGETHER
from tests.serving.arms import RAISES, logged, route_both
from tests.serving.fleet import serving
from tests.waiting import until

NEWEST = Traffic(Route(2, "run2", "/models/2"), "churn-2-1/0", 0.5, "salt", fast_fail=(0.5, 4))
CALLERS, WORKERS, AMONG = 4, 2, 20
BODY = json.dumps({"instances": [{"half": 7, "word": "hey"}]}).encode()


def is_out_after(state: LocalState, failures: str) -> bool:
    """Tell whether a challenger is out after requests of which those marked `x` failed."""
    fast_fail = FastFail(state, SystemClock())
    for one in failures:
        fast_fail.record("churn", NEWEST, has_failed=one == "x")
    fast_fail.close()
    return fast_fail.is_out(replace(NEWEST, label="churn-2-1/1"))


@pytest.mark.parametrize(
    ("failures", "is_out"),
    [("", False), ("xx", False), ("xxx", True), ("x.x.", False), ("x.xx", True), ("xx.." * 10, False)],
)
def test_more_failures_than_the_share_of_the_newest_take_it_out_at_every_step(
    state: LocalState, failures: str, is_out: bool
) -> None:
    assert is_out_after(state, failures) == is_out


@pytest.mark.slow
@pytest.mark.parametrize(("is_shadow", "at_once"), [(False, CALLERS), (True, ROWS_TOGETHER)], ids=["canary", "shadow"])
def test_callers_see_no_error_and_the_server_takes_the_challenger_out(
    tmp_path: Path, state: LocalState, is_shadow: bool, at_once: int
) -> None:
    share = 0.0 if is_shadow else 0.5
    route_both(state, challenger=RAISES, share=share, is_shadow=is_shadow, fast_fail=(0.5, AMONG))
    stopping, replies, failures = threading.Event(), [], []

    def ask(url: str) -> None:
        while not stopping.is_set():
            request = urllib.request.Request(f"{url}/invocations", BODY, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    replies.append(json.load(response))
            except OSError as error:
                failures.append(error)

    with serving(tmp_path, "--workers", str(WORKERS)) as fleet:
        fleet.wait_for_workers(WORKERS)
        callers = [threading.Thread(target=ask, args=(fleet.url,)) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        try:
            routing: Any = until(lambda: (found := read_routing(state, "churn")) and found[1] > 1 and found[0])
            until(lambda: all(one.models["churn"].generation == routing.generation for one in fleet.workers()))
        finally:
            stopping.set()
            for caller in callers:
                caller.join()
        lines = list(logged(tmp_path))

    assert failures == []
    assert {(reply["variant"], *reply["predictions"]) for reply in replies} == {("champion", 1141.0)}
    assert (routing.challenger, routing.rollout.phase) == (None, "rolled_back")
    assert (routing.rollout.actions[-1].who, routing.history[-1].who) == ("server", "server")
    failed = [line for line in lines if line.get("error")]
    assert AMONG / 2 < len(failed) <= WORKERS * (AMONG / 2 + 1 + at_once), "a worker does not wait for the routing"
    assert {line.get("role", "answer") for line in failed} == {"shadow" if is_shadow else "answer"}
