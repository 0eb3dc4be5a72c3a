"""The HTTP face, in process: real artefacts, real routing, the app's own lifespan."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from mlops_assets.lake.state import LocalState
from mlops_assets.serving.app import create_app
from mlops_assets.serving.options import ServerOptions

Deploy = Callable[..., int]


@pytest.fixture
def client(tmp_path: Path, state: LocalState, deploy: Deploy) -> Iterator[TestClient]:
    deploy(3)
    with TestClient(create_app(state, tmp_path, env="dev", url="http://test")) as client:
        yield client


def predictions(client: TestClient, body: dict[str, Any]) -> list[float]:
    response = client.post("/invocations", json=body)
    assert response.status_code == 200, response.text
    return response.json()["predictions"]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": [{"x": 2, "colour": "red"}, {"x": 0.5, "colour": "blue"}]},
        {"instances": [{"x": 2, "colour": "red"}, {"x": 0.5, "colour": "blue"}]},
        {"dataframe_split": {"columns": ["colour", "x"], "data": [["red", 2], ["blue", 0.5]]}},
        {"dataframe_split": {"index": [0, 1], "columns": ["colour", "x"], "data": [["red", 2], ["blue", 0.5]]}},
    ],
)
def test_every_shape_of_body_gives_the_same_answer(client: TestClient, body: dict[str, Any]) -> None:
    response = client.post("/invocations", json=body)

    assert response.status_code == 200, response.text
    reply = response.json()
    event_id = reply.pop("event_id")
    assert reply == {
        "model": "churn",
        "version": 3,
        "generation": 1,
        "variant": "champion",
        "predictions": [105.0, 3.5],
    }
    assert response.headers["x-request-id"] == event_id


def test_a_model_answers_under_its_name(client: TestClient) -> None:
    response = client.post("/models/churn/invocations", json={"instances": [{"x": 1}]})

    assert response.json()["predictions"] == [4.0]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, 3),
        ({"x": None, "colour": None}, 3),
        ({"x": True}, 4),
        ({"colour": "never seen"}, 3),
        ({"half": 2, "word": "hey"}, 3 + 40 + 1000),
        ({"half": 2, "word": None}, 3 + 40),
        ({"word": "hey"}, 3 + 1000),
        ({"doubled": 2}, 3 + 20),
        ({"half": 2, "word": "hey", "doubled": 1, "x": 5}, 3 + 10 + 1000 + 5),
    ],
    ids=[
        "empty",
        "nulls",
        "boolean",
        "unknown category",
        "request features",
        "null input",
        "input left out",
        "sent itself",
        "sent wins",
    ],
)
def test_what_is_left_out_is_unknown_and_inputs_become_features(
    client: TestClient, row: dict[str, Any], expected: float
) -> None:
    other = {"half": 0, "word": "ho", "x": 0}

    assert predictions(client, {"instances": [row, other]})[0] == pytest.approx(expected)


def test_a_key_that_only_some_records_have_is_null_in_the_others(client: TestClient) -> None:
    assert predictions(client, {"instances": [{"x": 1}, {"colour": "red"}]}) == [4.0, 103.0]


@pytest.mark.parametrize("body", [{"instances": []}, {"dataframe_split": {"columns": ["x"], "data": []}}])
def test_no_rows_give_no_predictions(client: TestClient, body: dict[str, Any]) -> None:
    assert predictions(client, body) == []


@pytest.mark.parametrize(
    ("content", "status", "field", "found"),
    [
        (b"", 400, "body", "truncated"),
        (b"{", 400, "body", "truncated"),
        (b'{"instances": [{"x": NaN}]}', 400, "body", "malformed"),
        (b"\xff\xfe", 400, "body", ""),
        (b"[]", 422, "body", "Expected `object`, got `array`"),
        (b"{}", 422, "body", "none of them"),
        (b'{"inputs": []}', 422, "body", "unknown field `inputs`"),
        (b'{"instances": [], "dataframe_records": []}', 422, "body", "dataframe_records and instances"),
        (b'{"instances": [[1]]}', 422, "body", "instances[0]"),
        (b'{"instances": [{"x": [1]}]}', 422, "body", "instances[0]"),
        (b'{"dataframe_split": {"columns": ["x"], "data": [[1, 2]]}}', 422, "dataframe_split.data[0]", "2 values"),
        (b'{"dataframe_split": {"columns": ["x", "x"], "data": [[1, 2]]}}', 422, "dataframe_split.columns", "x twice"),
        (b'{"instances": [{"y": 1}]}', 422, "y", "column y"),
        (b'{"instances": [{"x": 1}, {"x": "two"}]}', 422, "x", "'two' in row 1"),
        (b'{"instances": [{"x": 1' + b"0" * 400 + b"}]}", 422, "x", "in row 0"),
        (b'{"instances": [{"colour": "red"}, {"colour": 1}]}', 422, "colour", "1 in row 1"),
        (b'{"instances": [{"half": 1, "word": 5}]}', 422, "half, word", "AttributeError"),
        (b'{"instances": [{"half": "one"}]}', 422, "half, word", ""),
    ],
)
def test_a_wrong_body_is_refused_with_the_field_what_was_found_and_what_to_do(
    client: TestClient, content: bytes, status: int, field: str, found: str
) -> None:
    response = client.post("/invocations", content=content, headers={"Content-Type": "application/json"})

    problem = response.json()
    assert (response.status_code, problem["status"], problem["field"]) == (status, status, field)
    assert response.headers["content-type"] == "application/problem+json"
    assert found in problem["found"]
    assert problem["required"]
    assert problem["remedy"]
    assert predictions(client, {"instances": [{"x": 1}]}) == [4.0]


def test_an_unknown_column_names_those_that_exist(client: TestClient) -> None:
    problem = client.post("/invocations", json={"instances": [{"y": 1}]}).json()

    assert problem["required"] == "only x, colour, doubled, shout, half, word"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "", "application/json; charset=latin-1", "application/jsonp", "text/csvx"]
)
def test_a_body_that_is_not_declared_as_what_it_is_is_refused(client: TestClient, content_type: str) -> None:
    response = client.post("/invocations", content=b"{}", headers={"Content-Type": content_type})

    assert (response.status_code, response.json()["field"]) == (415, "Content-Type")


def test_a_body_beyond_the_limit_is_refused_also_when_its_length_is_not_announced(client: TestClient) -> None:
    chunks = (b" " * 2**20 for _ in range(ServerOptions().max_body_bytes // 2**20 + 1))

    response = client.post("/invocations", content=chunks, headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["title"]) == (413, "body too large")


def test_a_model_that_is_not_routed_is_not_found(client: TestClient) -> None:
    response = client.post("/models/fraud/invocations", json={"instances": []})

    assert (response.status_code, response.json()["required"]) == (404, "one of churn")


def test_among_several_models_the_path_must_name_one(tmp_path: Path, state: LocalState, deploy: Deploy) -> None:
    deploy(1)
    deploy(2, model="fraud")
    with TestClient(create_app(state, tmp_path, env="dev", url="http://test")) as client:
        ambiguous = client.post("/invocations", json={"instances": [{}]})
        named = client.post("/models/fraud/invocations", json={"instances": [{}]})

    assert (ambiguous.status_code, ambiguous.json()["found"]) == (400, "models churn, fraud")
    assert (named.json()["model"], named.json()["predictions"]) == ("fraud", [2.0])


def test_without_models_it_says_503_and_what_to_do(tmp_path: Path, state: LocalState) -> None:
    with TestClient(create_app(state, tmp_path, env="dev", url="http://test")) as client:
        ping, answer = client.get("/ping"), client.post("/invocations", json={"instances": []})

    assert (ping.status_code, ping.json()) == (503, {"models": {}})
    assert answer.status_code == 503
    assert "Materialise `MODEL/deployment`" in answer.json()["remedy"]


def test_a_first_version_that_cannot_be_loaded_is_503_with_the_reason(
    tmp_path: Path, state: LocalState, deploy: Deploy
) -> None:
    deploy(1, spoil=lambda folder: (folder / "model.skops").write_bytes(b"junk"))
    with TestClient(create_app(state, tmp_path, env="dev", url="http://test")) as client:
        ping, answer = client.get("/ping"), client.post("/invocations", json={"instances": [{}]})

    assert ping.status_code == 503
    assert "CorruptArtifact" in ping.json()["models"]["churn"]["load_error"]
    assert answer.status_code == 503
    assert answer.json()["found"] == "CorruptArtifact"
    assert str(tmp_path) not in answer.text


def test_models_are_listed_with_what_they_take(client: TestClient) -> None:
    listed = client.get("/models").json()

    assert listed == {
        "churn": {
            "version": 3,
            "generation": 1,
            "load_error": None,
            "failed_generation": 0,
            "challenger": 0,
            "rung": "flat+onnx",
            "challenger_rung": "",
            "refused_rungs": {},
            "features": {"x": "numeric", "colour": "categorical", "doubled": "numeric", "shout": "categorical"},
            "request_inputs": ["half", "word"],
            "task": "regression",
            "classes": [],
        }
    }
    assert client.get("/ping").status_code == 200


def test_metrics_count_requests_and_rows_by_version_and_outcome(client: TestClient) -> None:
    client.post("/invocations", json={"instances": [{}, {}, {}]})
    client.post("/invocations", json={"instances": [{"y": 1}]})

    samples = {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }
    assert samples["mlops_requests_total", "churn", "200", "champion", "3"] == 1
    assert samples["mlops_requests_total", "churn", "422", "champion", "3"] == 1
    assert samples["mlops_predictions_total", "churn", "champion", "3"] == 3
    assert samples["mlops_request_seconds_count", "churn", "champion", "3"] == 2
    assert samples["mlops_model_version", "churn", "champion"] == 3
    assert samples["mlops_load_failing", "churn"] == 0


def test_the_documentation_names_the_body_and_every_refusal(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/invocations"]["post"]

    content = operation["requestBody"]["content"]
    assert set(content) == {"application/json", "text/csv"}
    shapes = {name for shape in content["application/json"]["schema"]["oneOf"] for name in shape["properties"]}
    assert shapes == {"dataframe_records", "dataframe_split", "instances"}
    refusals = {400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 503, 504}
    assert set(operation["responses"]) == {str(status) for status in {200} | refusals}
    row = document["components"]["schemas"]["churn_row"]
    assert client.get("/models/churn/schema").json()["properties"] == row["properties"]
    assert set(row["properties"]) == {"x", "colour", "doubled", "shout", "half", "word", "event_id", "inference_id"}
    assert row["additionalProperties"] is False
    [name] = document["paths"]["/models/{name}/schema"]["get"]["parameters"]
    assert name["schema"]["enum"] == ["churn"]
    assert client.get("/docs").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "found"),
    [
        ("GET", "/nosuch", 404, "/nosuch"),
        ("GET", "/metrics/", 404, "/metrics/"),
        ("POST", "/metrics", 405, "POST"),
        ("GET", "/admin/reload", 405, "GET"),
        ("GET", "/models/nobody/schema", 404, "nobody"),
        ("GET", "/models/a/b/invocations", 404, "/models/a/b/invocations"),
    ],
)
def test_what_no_route_takes_is_refused_as_a_problem_too(
    client: TestClient, method: str, path: str, status: int, found: str
) -> None:
    refused = client.request(method, path, follow_redirects=False)

    problem = refused.json()
    assert (refused.status_code, problem["status"], problem["found"]) == (status, status, found)
    assert refused.headers["content-type"] == "application/problem+json"
    assert problem["remedy"]
    assert ("allow" in refused.headers) == (status == 405)


def test_a_fault_behind_a_report_is_a_500_with_an_id_that_stands_in_the_log(
    tmp_path: Path, state: LocalState, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(state, tmp_path, env="dev", url="http://test")
    with TestClient(app, raise_server_exceptions=False) as client:
        app.metrics._levels["in_flight"] = None  # pyright: ignore[reportArgumentType]
        failed = client.get("/metrics")

    problem = failed.json()
    assert (failed.status_code, problem["title"]) == (500, "internal error")
    assert "NoneType" not in failed.text
    assert f"{problem['found']} failed: TypeError" in caplog.text
