"""What the documentation says of the requests that FastAPI never sees: of each model that is served, what it takes.

Add here: operations. Keep out: what a row looks like (`record_schema.py`).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.serving.body import CSV
from mlops_assets.serving.feedback import Label
from mlops_assets.serving.record_schema import body_schema, csv_schema, record_schema
from mlops_assets.serving.reply import EXAMPLES, Reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastapi import FastAPI

    from mlops_assets.serving.models import LoadedModels, Served
    from mlops_assets.serving.options import ServerOptions

REF = "#/components/schemas/{name}"
JSON, PROBLEM = "application/json", "application/problem+json"
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "field", "found", "required", "remedy"],
    "properties": {
        "status": {"type": "integer"},
        **{name: {"type": "string"} for name in ("type", "title", "detail", "field", "found", "required", "remedy")},
    },
}
SAID = {
    400: "The body is not JSON or CSV, or a header is wrong.",
    401: "No API key, or nobody's.",
    403: "The key is for other routes, or a page of another site asks.",
    404: "No such model.",
    405: "Another method is wanted.",
    408: "The body did not come in in time.",
    409: "There is no challenger.",
    413: "The body is too large, or has too many rows.",
    415: "The body is declared as something that is not read.",
    422: "A column or a value does not fit.",
    429: "Too many requests of this caller, or of all.",
    500: "Something broke; the log of the server tells what under the id that the reply names.",
    503: "No version of the model is loaded, or the prediction log or the routing is not to be had.",
    504: "The deadline passed.",
}
HOT = (400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 503, 504)
PING: dict[str, Any] = {
    "summary": "Ping",
    "description": "Say whether every routed model answers; a former version that goes on answering counts.",
    "tags": ["reports"],
    "responses": {
        status: {"description": said, "content": {JSON: {"schema": {"type": "object"}}}}
        for status, said in {"200": "Every model answers.", "503": "No model answers, or one has no version."}.items()
    },
}
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what an operation may be refused with."""
    content = {PROBLEM: {"schema": {"$ref": REF.format(name="Problem")}}}
    return {str(status): {"description": SAID[status], "content": content} for status in statuses}


def publish(app: FastAPI, models: LoadedModels, options: ServerOptions) -> None:
    """Let the app's OpenAPI document show the hot path, too, as it is at that moment."""
    generate = app.openapi

    def with_hot_path() -> dict[str, Any]:
        document = copy.deepcopy(generate())
        served = list(models.served.values())
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas |= _schemas(served)
        _name_models(document["paths"], [one.model for one in served])
        document["paths"] |= {"/ping": {"get": PING}} | _paths(served, has_feedback=options.takes_feedback)
        if options.keys_file:
            document["components"]["securitySchemes"] = SECURITY
            for path in document["paths"].values():
                for operation in path.values():
                    if operation["tags"] != ["reports"]:
                        operation["security"] = [{name: []} for name in SECURITY]
        return document

    app.openapi = with_hot_path


def _name_models(paths: dict[str, Any], names: list[str]) -> None:
    """Say which names a path may have."""
    for operation in (one for path in paths.values() for one in path.values() if names):
        for parameter in operation.get("parameters", []):
            parameter["schema"]["enum"] = names


def schema_of(served: Served) -> dict[str, Any]:
    """Return the schema of a model's rows, on its own."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": served.model} | record_schema(
        served.columns
    )


def _schemas(served: Iterable[Served]) -> dict[str, Any]:
    _, shared = msgspec.json.schema_components([Reply, Label], ref_template=REF)
    shared["Label"]["oneOf"] = [{"required": ["event_id"]}, {"required": ["inference_id"]}]
    shared["Label"]["properties"]["row"]["type"] = "integer"
    rows = {f"{one.model}_row": record_schema(one.columns) for one in served}
    return {"Problem": PROBLEM_SCHEMA, **shared, **rows}


def _paths(served: list[Served], *, has_feedback: bool) -> dict[str, Any]:
    """Return the operations of each model, under its name and, of the only one, under the short path."""
    paths: dict[str, Any] = {}
    for one in served:
        for prefix in ("", f"/models/{one.model}") if len(served) == 1 else (f"/models/{one.model}",):
            paths[f"{prefix}/invocations"] = {"post": _scoring(one)}
            if has_feedback:
                paths[f"{prefix}/feedback"] = {"post": _labelling(one)}
    return paths


def _scoring(served: Served) -> dict[str, Any]:
    row = {"$ref": REF.format(name=f"{served.model}_row")}
    content = {
        JSON: {"schema": body_schema(served.columns, row)},
        CSV: {"schema": csv_schema(served.columns)},
    }
    example = {served.champion.manifest.task: EXAMPLES[served.champion.manifest.task]}
    reply = {JSON: {"schema": {"$ref": REF.format(name="Reply")}, "examples": example}}
    return {
        "summary": f"Score rows with {served.model}",
        "tags": ["scoring"],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "One prediction per row, in order.", "content": reply}, **refusals(*HOT)},
    }


def _labelling(served: Served) -> dict[str, Any]:
    label = {"$ref": REF.format(name="Label")}
    taken = {"type": "object", "required": ["accepted"], "properties": {"accepted": {"type": "integer"}}}
    content = {JSON: {"schema": {"anyOf": [label, {"type": "array", "items": label}]}}}
    return {
        "summary": f"Send labels for predictions of {served.model}",
        "tags": ["scoring"],
        "requestBody": {"required": True, "content": content},
        "responses": {
            "202": {"description": "They are in the log.", "content": {JSON: {"schema": taken}}},
            **refusals(*HOT),
        },
    }
