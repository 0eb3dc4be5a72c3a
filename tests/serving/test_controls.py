"""One guarded server: two ports, keys, controls, JSON lines on stderr, and traces sent to a real collector."""

import json
import shutil
import threading
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_args

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from mlops_assets.lake.state import LocalState
from mlops_assets.rollout.routing import read_routing
from mlops_assets.serving.keys import Scope, create_key
from tests.serving.arms import change_traffic, route_both
from tests.serving.fleet import Fleet, serving
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.extra, pytest.mark.timeout(120)]
ROW = {"instances": [{"x": 1}]}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@dataclass
class Collector:
    """The spans that an OTLP collector has received."""

    spans: list[Any] = field(default_factory=list[Any])
    resources: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def take(self, body: bytes) -> None:
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append({one.key: one.value.string_value for one in group.resource.attributes})
            self.spans += [span for scope in group.scope_spans for span in scope.spans]

    def of(self, trace: str) -> list[Any]:
        return [span for span in self.spans if span.trace_id.hex() == trace]


@pytest.fixture(scope="module")
def collector() -> Generator[tuple[Collector, str]]:
    taken = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            taken.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002  (its own name)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield taken, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass(frozen=True)
class Guarded:
    """A server with its keys."""

    fleet: Fleet
    state: LocalState
    user: str
    admin: str

    def score(self, **headers: str) -> tuple[int, str]:
        return self.fleet.ask("/invocations", ROW, headers={"X-API-Key": self.user, **headers})

    def control(self, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> tuple[int, Any]:
        given = {"X-API-Key": self.admin if key is None else key, **headers}
        status, text = self.fleet.ask(path, body, admin=True, headers=given)
        return status, json.loads(text)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.fleet.home / "stderr.txt").read_text().splitlines()]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, collector: tuple[Collector, str]) -> Generator[Guarded]:
    home = tmp_path_factory.mktemp("guarded")
    state = LocalState(str(home / "lake" / "dev"))
    route_both(state, share=0.0)
    now = datetime.now(UTC)
    user, admin = (create_key(home / "keys.json", one, one, now=now) for one in get_args(Scope))
    options = ["--admin-port", "0", "--keys-file", "keys.json", "--log-format", "json", "--access-log"]
    tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector[1], "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with serving(home, *options, **tracing) as fleet:
        fleet.wait_for_workers(1)
        yield Guarded(fleet, state, user, admin)


@pytest.mark.parametrize(
    "path", ["/", "/status.json", "/metrics", "/models", "/docs", "/openapi.json", "/admin/workers"]
)
def test_what_is_not_for_everybody_answers_on_the_admin_port_alone(guarded: Guarded, path: str) -> None:
    assert guarded.fleet.ask(path, headers={"X-API-Key": guarded.admin})[0] == 404
    assert guarded.fleet.ask(path, admin=True, headers={"X-API-Key": guarded.admin})[0] == 200


def test_the_public_port_scores_and_tells_its_health(guarded: Guarded) -> None:
    assert guarded.fleet.ask("/ping")[0] == 200
    assert guarded.score()[0] == 200
    assert guarded.fleet.ask("/models/churn/invocations", ROW, headers={"X-API-Key": guarded.user})[0] == 200
    assert guarded.fleet.ask("/invocations", ROW)[0] == 401


def test_controls_want_a_key_of_scope_admin_and_no_page_of_another_site(guarded: Guarded) -> None:
    assert guarded.control("/admin/workers")[1]["workers"][0]["pid"] == guarded.fleet.workers()[0].pid
    assert guarded.control("/admin/workers", key="")[0] == 401
    assert guarded.control("/admin/workers", key=guarded.user)[0] == 403
    assert guarded.control("/admin/reload", {}, **{"Sec-Fetch-Site": "cross-site"})[1]["found"] == "cross-site"


def test_reload_follows_the_routing_at_once(guarded: Guarded) -> None:
    before = guarded.fleet.workers()[0].models["churn"].generation
    change_traffic(guarded.state, share=0.5)

    assert guarded.control("/admin/reload", {})[1]["models"]["churn"]["generation"] == before + 1


def test_reload_tries_again_what_could_not_be_loaded(guarded: Guarded) -> None:
    stored = read_routing(guarded.state, "churn")
    assert stored is not None
    mended = Path(stored[0].champion.artifact_uri)
    route = replace(stored[0].champion, version=9, artifact_uri=str(guarded.fleet.home / "late"))
    change_traffic(guarded.state, route=route)
    failed = until(lambda: guarded.control("/admin/reload", {})[1]["models"]["churn"]["load_error"])
    assert "late" in failed
    shutil.copytree(mended, guarded.fleet.home / "late")

    churn = guarded.control("/admin/reload", {})[1]["models"]["churn"]

    assert (churn["challenger"], churn["load_error"]) == (9, None)


def test_falling_back_is_an_abort_by_name(guarded: Guarded) -> None:
    path, wish = "/admin/models/churn/fall-back", {"who": "ada", "reason": "complaints"}
    assert guarded.control("/admin/models/nosuch/fall-back", wish)[0] == 404
    assert guarded.control(path, {"who": "ada"})[0] == 422

    status, said = guarded.control(path, wish)

    assert (status, said["version"]) == (200, 1)
    stored = read_routing(guarded.state, "churn")
    assert stored is not None
    rollout = stored[0].rollout
    assert stored[0].challenger is None
    assert rollout is not None
    assert (rollout.phase, rollout.actions[-1].who, rollout.actions[-1].why) == ("aborted", "ada", "complaints")
    assert (stored[0].history[-1].who, said["generation"]) == ("ada", stored[0].generation)
    assert json.loads(guarded.score()[1])["generation"] == said["generation"]
    assert guarded.control(path, wish)[0] == 409


def test_a_request_is_one_span_of_the_callers_trace_with_its_parts_inside(
    guarded: Guarded, collector: tuple[Collector, str]
) -> None:
    assert guarded.score(traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")[0] == 200

    spans = {span.name: span for span in until(lambda: len(collector[0].of(TRACE)) == 3 and collector[0].of(TRACE))}
    whole = spans["POST invocations"]
    assert whole.parent_span_id.hex() == "00f067aa0ba902b7"
    assert {spans[name].parent_span_id for name in ("score", "log")} == {whole.span_id}
    facts = {one.key: one.value.string_value or one.value.int_value for one in whole.attributes}
    assert facts["http.response.status_code"] == 200
    assert (facts["mlops.model"], facts["mlops.version"], facts["mlops.variant"]) == ("churn", 1, "champion")
    assert facts["mlops.rows"] == 1
    assert collector[0].resources[0]["service.name"] == "mlops-serve"
    assert all(one.name != "GET ping" for one in collector[0].spans)


def test_every_request_has_a_json_line_when_asked_for_without_body_or_key(guarded: Guarded) -> None:
    body = {"instances": [{"x": 123.456, "colour": "secret-colour"}]}
    assert guarded.fleet.ask("/invocations", body, headers={"X-API-Key": guarded.user})[0] == 200

    line = until(lambda: [one for one in guarded.lines() if one["logger"] == "mlops_assets.requests"])[-1]
    assert (line["model"], line["version"], line["variant"], line["status"]) == ("churn", 1, "champion", 200)
    assert (line["level"], line["ms"] > 0, len(line["request_id"])) == ("info", True, 36)
    written = (Path(guarded.fleet.home) / "stderr.txt").read_text()
    assert "secret-colour" not in written
    assert guarded.user not in written


def test_metrics_tell_who_was_refused(guarded: Guarded) -> None:
    before = guarded.fleet.samples(admin=True).get(("mlops_rejected_total", "401"), 0)
    guarded.fleet.ask("/invocations", ROW)

    assert guarded.fleet.samples(admin=True)["mlops_rejected_total", "401"] == before + 1
