"""Both arms behind the server: who answers whom, what the log says, and who stands in."""

import gc
import json
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_assets.lake.state import LocalState
from mlops_assets.serving.app import create_app
from mlops_assets.serving.options import ServerOptions
from mlops_assets.serving.pace import PROVEN
from tests.serving.arms import COMPUTE, OVERFLOWS, RAISES, SALT, SLEEPS, change_traffic, logged, route_both
from tests.serving.conftest import REQUEST
from tests.waiting import until

CUSTOMERS: list[Any] = [f"c{number}" for number in range(40)]
BAD = {"half": 7, "word": "hey"}


@contextmanager
def serving(home: Path, state: LocalState, **options: Any) -> Iterator[TestClient]:
    app = create_app(state, home, env="dev", url="http://test", options=ServerOptions(**options))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def bucket(*values: Any) -> int:
    unit = json.dumps(values, separators=(",", ":")).encode()
    return int(blake2b(unit, digest_size=8, key=SALT.encode()).hexdigest(), 16) % 10_000


def ask(client: TestClient, *rows: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/invocations", json={"instances": rows})
    assert response.status_code == 200, response.text
    return response.json()


def test_each_unit_has_its_arm_in_every_request_and_keeps_it_as_the_share_grows(
    tmp_path: Path, state: LocalState
) -> None:
    route_both(state, share=0.3, assign_by=("customer",))
    with serving(tmp_path, state) as client:
        for share in (0.3, 0.6):
            if share != 0.3:
                change_traffic(state, share=share)
                until(lambda: ask(client, {"customer": CUSTOMERS[0]})["generation"] == 2)
            expected = [2 if bucket(one) < share * 10_000 else 1 for one in CUSTOMERS]
            assert {1, 2} == set(expected)
            for _ in range(2):
                alone = [ask(client, {"customer": one}) for one in CUSTOMERS]
                together = ask(client, *({"customer": one} for one in CUSTOMERS))

                assert [one["version"] for one in alone] == expected
                assert [one["predictions"] for one in alone] == [[float(one)] for one in expected]
                assert {one["variant"] for one in alone} == {"champion", "challenger"}
                assert together["predictions"] == [float(one) for one in expected]
                assert together["variant"] == "mixed"
                rows = {part["variant"]: part["rows"] for part in together["parts"]}
                assert rows == {
                    "champion": [place for place, one in enumerate(expected) if one == 1],
                    "challenger": [place for place, one in enumerate(expected) if one == 2],
                }
                assert [part["version"] for part in together["parts"]] == [1, 2]


def test_a_number_is_the_same_unit_however_it_is_written(tmp_path: Path, state: LocalState) -> None:
    route_both(state, share=0.5, assign_by=("x",))
    with serving(tmp_path, state) as client:
        for number in range(20):
            versions = {ask(client, {"x": x})["version"] for x in (number, float(number))}
            lines = f"x\n{number}\n".encode()
            by_csv = client.post("/invocations", content=lines, headers={"Content-Type": "text/csv"}).json()

            assert versions == {by_csv["version"]} == {2 if bucket(number) < 5000 else 1}


@pytest.mark.parametrize(
    ("assign_by", "row"), [((), {}), (("customer",), {}), (("customer", "x"), {"customer": "c1", "x": None})]
)
def test_rows_without_a_unit_go_with_their_request(
    tmp_path: Path, state: LocalState, assign_by: tuple[str, ...], row: dict[str, Any]
) -> None:
    route_both(state, share=0.5, assign_by=assign_by)
    with serving(tmp_path, state) as client:
        replies = [ask(client, row, row, row) for _ in range(40)]

    assert {reply["variant"] for reply in replies} == {"champion", "challenger"}, "by chance in 1 of 10 ** 11 runs"
    for reply in replies:
        assert reply["version"] == (2 if bucket(reply["event_id"]) < 5000 else 1)


def test_the_log_has_a_line_for_each_part_when_the_reply_comes(tmp_path: Path, state: LocalState) -> None:
    route_both(state, share=0.3, assign_by=("customer",))
    body = {"instances": [{"customer": one, "x": 1} for one in CUSTOMERS]}
    with serving(tmp_path, state) as client:
        headers = {"X-Amzn-SageMaker-Inference-Id": "order-7"}
        reply = client.post("/invocations", json=body, headers=headers).json()
        lines = {line.get("variant", "champion"): line for line in logged(tmp_path) if line.get("role") != "shadow"}

    assert set(lines) == {"champion", "challenger"}
    for variant, line in lines.items():
        [part] = [one for one in reply["parts"] if one["variant"] == variant]
        assert line["rows"] == part["rows"]
        assert line["predictions"] == [reply["predictions"][row] for row in part["rows"]]
        assert (line["eventId"], line["event_id"], line["inferenceId"]) == (*[part["event_id"]] * 2, "order-7")
        assert line["units"] == [
            blake2b(json.dumps([CUSTOMERS[row]]).encode(), digest_size=8, key=SALT.encode()).hexdigest()
            for row in part["rows"]
        ]
        assert json.loads(line["asked"]) == body
        assert (line["type"], line["encoding"], line["label"]) == ("application/json", "JSON", f"{SALT}/0")
        assert line["features"]["x"] == [1.0] * len(part["rows"])
        assert line["features"]["colour"] == [None] * len(part["rows"])


def test_without_the_log_nothing_is_answered(tmp_path: Path, state: LocalState) -> None:
    route_both(state, share=0.0)
    (tmp_path / "capture").write_text("a file where the folder should be")
    with serving(tmp_path, state) as client:
        refused = client.post("/invocations", json={"instances": [{}]})
    with serving(tmp_path, state, log="shed") as client:
        shed = client.post("/invocations", json={"instances": [{}]})
        metrics = client.get("/metrics").text
    with serving(tmp_path, state, log="off") as client:
        off = client.post("/invocations", json={"instances": [{}]})

    assert (refused.status_code, refused.json()["field"], refused.headers["retry-after"]) == (503, "log", "1")
    assert "predictions" not in refused.json()
    assert (shed.status_code, off.status_code) == (200, 200)
    assert "mlops_log_shed_total 1.0" in metrics


def test_refused_requests_are_not_logged(tmp_path: Path, state: LocalState) -> None:
    route_both(state, share=0.5)
    with serving(tmp_path, state) as client:
        for body in (b"{", b'{"instances": [{"y": 1}]}', b'{"instances": [{"x": "two"}]}'):
            client.post("/invocations", content=body, headers={"Content-Type": "application/json"})

        assert list(logged(tmp_path)) == []


@pytest.mark.parametrize("request_source", [RAISES, OVERFLOWS, SLEEPS], ids=["raises", "overflows", "too late"])
def test_the_champion_answers_where_the_challenger_fails(
    tmp_path: Path, state: LocalState, request_source: bytes
) -> None:
    route_both(state, challenger=request_source)
    with serving(tmp_path, state, deadline_ms=1500) as client:
        good = [ask(client, {"half": 1, "word": "ho"}) for _ in range(5)]
        bad = ask(client, BAD)
        metrics = client.get("/metrics").text
        [line] = [one for one in logged(tmp_path) if one["event_id"] == bad["event_id"]]

    assert [one["predictions"] for one in good] == [[22.0]] * 5
    assert (bad["variant"], bad["version"], bad["predictions"]) == ("champion", 1, [1 + 10 * 14 + 1000.0])
    assert (line.get("assigned"), line.get("variant", "champion"), line["version"]) == ("challenger", "champion", 1)
    assert line["error"]
    assert line["predictions"] == bad["predictions"]
    assert 'mlops_requests_total{model="churn",status="500",variant="challenger",version="2"} 1.0' in metrics


def test_what_no_arm_takes_is_the_callers_fault_and_no_failure(tmp_path: Path, state: LocalState) -> None:
    route_both(state, fast_fail=(0.0, 1))
    with serving(tmp_path, state) as client:
        refused = client.post("/invocations", json={"instances": [{"x": "two"}]})
        after = ask(client, {})

    assert (refused.status_code, refused.json()["field"]) == (422, "x")
    assert after["variant"] == "challenger"


def test_a_champion_that_fails_is_a_500_with_an_id_and_no_word_of_the_inside(tmp_path: Path, state: LocalState) -> None:
    route_both(state, champion=OVERFLOWS, share=0.0)
    with serving(tmp_path, state) as client:
        failed = client.post("/invocations", json={"instances": [BAD]})
        [line] = logged(tmp_path)

    request_id = failed.headers["x-request-id"]
    assert (failed.status_code, request_id in failed.json()["detail"]) == (500, True)
    assert "NotANumber" not in failed.text
    assert (line["event_id"], line["status"], line.get("predictions")) == (request_id, 500, [])
    assert "NotANumber" in line["error"]


def test_a_champion_that_is_too_late_is_a_504(tmp_path: Path, state: LocalState) -> None:
    route_both(state, champion=SLEEPS, share=0.0)
    with serving(tmp_path, state, deadline_ms=300) as client:
        late = client.post("/invocations", json={"instances": [BAD]})
        [line] = logged(tmp_path)

    assert (late.status_code, late.json()["required"]) == (504, "an answer within 300 ms")
    assert line["status"] == 504


def test_the_shadow_scores_what_the_champion_answered(tmp_path: Path, state: LocalState) -> None:
    route_both(state, share=0.0, is_shadow=True)
    with serving(tmp_path, state) as client:
        reply = ask(client, {"x": 1})
        shadow = until(lambda: next((one for one in logged(tmp_path) if one.get("role") == "shadow"), None))
        metrics = client.get("/metrics").text

    assert (reply["variant"], reply["predictions"]) == ("champion", [2.0])
    assert shadow["event_id"] == shadow["eventId"] == f"{reply['event_id']}-shadow"
    assert (shadow["variant"], shadow["version"], shadow["predictions"]) == ("challenger", 2, [3.0])
    assert "mlops_shadow_scored_total 1.0" in metrics


def test_the_champion_scores_in_the_shadow_what_the_challenger_answered(tmp_path: Path, state: LocalState) -> None:
    route_both(state, share=0.5, assign_by=("customer",))
    with serving(tmp_path, state) as client:
        reply = ask(client, *({"customer": one} for one in CUSTOMERS))
        shadow = until(lambda: next((one for one in logged(tmp_path) if one.get("role") == "shadow"), None))

    [answered] = [part for part in reply["parts"] if part["variant"] == "challenger"]
    assert (shadow["version"], shadow["assigned"]) == (1, "challenger")
    assert (shadow["rows"], shadow["predictions"]) == (answered["rows"], [1.0] * len(answered["rows"]))


def test_shadows_that_wait_while_others_are_answered_are_scored_together(tmp_path: Path, state: LocalState) -> None:
    slow = REQUEST.replace(COMPUTE, COMPUTE + b"\n    import time; time.sleep(0.3 * (columns['half'] == 9).any())")
    route_both(state, share=0.0, is_shadow=True, champion=slow)
    with serving(tmp_path, state) as client:
        for n in range(2 * PROVEN):  # the challenger is quick
            ask(client, {"half": n, "word": "ho"})
        until(lambda: f"mlops_shadow_scored_total {2 * PROVEN}.0" in client.get("/metrics").text)
        with ThreadPoolExecutor(20) as pool:  # the champion is not: somebody is always waiting for it
            slow_ones = [pool.submit(ask, client, {"half": 9, "word": "ho"}) for _ in range(4)]
            quick_ones = [pool.submit(ask, client, {"half": n, "word": "ho"}) for n in range(10, 26)]
            predictions = [one.result()["predictions"] for one in (*slow_ones, *quick_ones)]
        until(lambda: f"mlops_shadow_scored_total {2 * PROVEN + 20}.0" in client.get("/metrics").text)
    shadows = [line for line in logged(tmp_path) if line.get("role") == "shadow"][2 * PROVEN :]

    assert predictions == [[181.0]] * 4 + [[1.0 + 20 * n] for n in range(10, 26)]
    assert sorted(line["predictions"] for line in shadows) == sorted([2 + 20.0 * n] for n in [9] * 4 + [*range(10, 26)])
    assert any("arm_us" not in line for line in shadows), "no call scored several"


def test_a_slow_shadow_delays_no_reply_and_a_full_queue_drops(tmp_path: Path, state: LocalState) -> None:
    route_both(state, share=0.0, is_shadow=True, challenger=SLEEPS)
    with serving(tmp_path, state, shadow_queue=3) as client:
        for _ in range(12):
            assert ask(client, BAD)["predictions"] == [1141.0]
        done = [one for one in logged(tmp_path) if one.get("role") == "shadow"]
        metrics = client.get("/metrics").text

    assert len(done) < 6, "replies that wait for the shadow come after it"
    dropped = float(metrics.split("\nmlops_shadow_dropped_total ")[1].split()[0])
    assert dropped + len(done) >= 12 - 3 - 1


@pytest.mark.parametrize("is_shadow", [False, True])
def test_a_challenger_that_keeps_failing_is_out_at_once_also_while_the_store_takes_nothing(
    tmp_path: Path, state: LocalState, is_shadow: bool
) -> None:
    share = 0.0 if is_shadow else 1.0
    route_both(state, challenger=RAISES, share=share, is_shadow=is_shadow, fast_fail=(0.5, 8))
    held = state.read("routing/churn")
    assert held is not None
    with serving(tmp_path, state) as client:
        lock = tmp_path / "lake" / "dev" / ".state.lock"
        lock.unlink()
        lock.mkdir()
        replies = [ask(client, BAD) for _ in range(20)]
        if is_shadow:
            until(lambda: "mlops_shadow_failures_total 5.0" in client.get("/metrics").text)
        replies += [ask(client, {"half": 1, "word": "ho"}) for _ in range(3)]
        lines = list(logged(tmp_path))
        assert state.read("routing/churn") == held
        lock.rmdir()
        routing = until(lambda: (found := state.read("routing/churn")) and found[1] > held[1] and found[0])

    assert {reply["variant"] for reply in replies} == {"champion"}
    assert [reply["predictions"] for reply in replies[-3:]] == [[21.0]] * 3, (
        "though the challenger would not fail on these"
    )
    assert sum(bool(line.get("error")) for line in lines) == 5, "the fifth of the newest 8 is more than half"
    assert routing["challenger"] is None
    assert routing["rollout"]["phase"] == "rolled_back"
    assert routing["rollout"]["actions"][-1]["who"] == "server"
    assert "5 of the newest 5 requests failed" in routing["rollout"]["actions"][-1]["why"]


def test_labels_are_taken_as_ground_truth(tmp_path: Path, state: LocalState) -> None:
    route_both(state)
    labels = [
        {"event_id": "e1", "label": 1, "row": 2},
        {"inference_id": "order-7", "label": "web", "at": "2013-04-02T00:00:00+02:00"},
        {"event_id": "e3", "label": 1, "row": 2.0, "at": "0001-01-01T00:00:00+14:00"},
    ]
    with serving(tmp_path, state) as client:
        many = client.post("/feedback", json=labels)
        one = client.post("/models/churn/feedback", json={"event_id": "e2", "label": False})
        lines = list(logged(tmp_path, kind="feedback"))

    assert [(each.status_code, each.json()) for each in (many, one)] == [(202, {"accepted": 3}), (202, {"accepted": 1})]
    found = [(line["eventMetadata"]["eventId"], json.loads(line["groundTruthData"]["data"])) for line in lines]
    assert found == [
        ("e1", {"label": 1, "row": 2}),
        ("order-7", {"label": "web", "at": "2013-04-01T22:00:00Z"}),
        ("e3", {"label": 1, "row": 2, "at": "0001-01-01T00:00:00Z"}),
        ("e2", {"label": False}),
    ]
    assert lines[1]["eventMetadata"]["inferenceId"] == "order-7"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"label": 1}, 422, "neither"),
        ({"label": 1, "event_id": "a", "inference_id": "b"}, 422, "both"),
        ({"label": 1, "event_id": "a", "weight": 2}, 422, "unknown field `weight`"),
        ({"label": None, "event_id": "a"}, 422, "null"),
        ({"label": 1, "event_id": ""}, 422, "length"),
        ({"label": 1, "event_id": "a", "row": -1}, 422, ">= 0"),
        ({"label": 1, "event_id": "a", "row": 1.5}, 422, "row 1.5"),
        ({"label": 1, "event_id": "a", "at": "2013-04-02"}, 422, "RFC3339"),
        ({"label": 1, "event_id": "a", "at": None}, 422, "null"),
        ([{"label": 1, "event_id": "a"}, {}], 422, "label"),
        ([{"label": 1, "event_id": "a"}] * 11, 413, "11 rows"),
    ],
)
def test_labels_that_name_nothing_are_refused(
    tmp_path: Path, state: LocalState, body: Any, status: int, said: str
) -> None:
    route_both(state)
    with serving(tmp_path, state, max_rows=10) as client:
        refused = client.post("/feedback", json=body)

        assert list(logged(tmp_path, kind="feedback")) == []
    assert (refused.status_code, said in refused.json()["found"]) == (status, True), refused.text


@pytest.mark.parametrize("options", [{"feedback": False}, {"log": "off"}])
def test_without_feedback_or_a_log_there_is_no_such_path(tmp_path: Path, state: LocalState, options) -> None:
    route_both(state)
    with serving(tmp_path, state, **options) as client:
        assert client.post("/feedback", json={"event_id": "e", "label": 1}).status_code == 404


def test_a_version_that_is_gone_is_let_go_without_the_garbage_collector(
    tmp_path: Path, state: LocalState, deploy: Callable[..., int]
) -> None:
    app = create_app(state, tmp_path, env="dev", url="http://test")
    deploy(1)
    with TestClient(app) as client:
        first = weakref.ref(app.models.served["churn"].champion)
        gc.disable()
        try:
            for version in (1, 2, 3):  # the one before is kept for a way back
                if version > 1:
                    deploy(version)
                until(lambda wanted=version: ask(client, {"x": 1.0})["version"] == wanted)
            until(lambda: first() is None)
        finally:
            gc.enable()
