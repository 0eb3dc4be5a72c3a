"""A REST API as dlt resources: pages, authentication, retries, and only the rows of a window or the new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.ingestion.rest_spec import (
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    Endpoint,
    OAuth2Auth,
    RestApiSource,
    RestIncremental,
)
from mlops_assets.ingestion.sources.cursors import CursorType, incremental

if TYPE_CHECKING:
    from mlops_assets.contract.spec import TableSpec
    from mlops_assets.ingestion.sources.reading import Reading


def rest_resources(source: RestApiSource, reading: Reading) -> list[Any]:
    """Return a dlt resource for each table; nothing is asked for yet."""
    from dlt.sources.rest_api import rest_api_resources

    session = _session(source)
    client: dict[str, Any] = {"base_url": source.base_url, "headers": source.headers, "session": session}
    if source.auth:
        client["auth"] = _auth(source.auth, reading, session)
    return rest_api_resources(
        {"client": client, "resources": [_resource(name, source.tables[name], reading) for name in reading.tables]}  # type: ignore[typeddict-item]
    )


def _session(source: RestApiSource) -> Any:
    """Return a session that waits as `Retry-After` says, tries again, and gives up after a while."""
    from dlt.sources.helpers.requests import Client

    return Client(
        request_timeout=source.timeout_seconds, raise_for_status=False, request_max_attempts=source.max_attempts
    ).session


def _auth(auth: BearerAuth | ApiKeyAuth | BasicAuth | OAuth2Auth, reading: Reading, session: Any) -> Any:
    from dlt.sources.helpers.rest_client import auth as kinds

    secret = reading.secrets.read
    if isinstance(auth, BearerAuth):
        return kinds.BearerTokenAuth(token=secret(auth.token))
    if isinstance(auth, ApiKeyAuth):
        return kinds.APIKeyAuth(name=auth.name, api_key=secret(auth.key), location=auth.location)
    if isinstance(auth, BasicAuth):
        return kinds.HttpBasicAuth(secret(auth.username), secret(auth.password))
    return kinds.OAuth2ClientCredentials(
        access_token_url=auth.token_url,
        client_id=secret(auth.client_id),
        client_secret=secret(auth.client_secret),
        access_token_request_data={"scope": auth.scope} if auth.scope else {},
        session=session,
    )


def _resource(name: str, endpoint: Endpoint, reading: Reading) -> dict[str, Any]:
    from mlops_assets.ingestion.sources.paging import Pages

    asked: dict[str, Any] = {
        "path": endpoint.path,
        "params": dict(endpoint.params),
        "paginator": Pages(endpoint.paginator, endpoint.path),
    }
    if endpoint.data_selector:
        asked["data_selector"] = endpoint.data_selector
    if endpoint.incremental is None:
        return {"name": name, "endpoint": asked}
    new, table = endpoint.incremental, reading.spec.tables[name]
    kind = CursorType(reading.declared(name, new.cursor), new.format)
    asked["incremental"] = _incremental(new, kind, table, reading)
    return {"name": name, "endpoint": asked, "processing_steps": [{"map": _typed(new.cursor, kind)}]}


def _incremental(new: RestIncremental, kind: CursorType, table: TableSpec, reading: Reading) -> dict[str, Any]:
    window = reading.window
    asked = {"cursor_path": new.cursor, "start_param": new.start_param}
    if window is None:
        cursor = incremental(
            new.cursor, table, kind.declared, lag_days=reading.lag_days, initial=kind.parse(new.initial)
        )
        kept = ("initial_value", "lag", "on_cursor_value_missing")
        return {**asked, **{name: getattr(cursor, name) for name in kept}, "convert": kind.write}
    if new.end_param:
        asked["end_param"] = new.end_param
    start, end = kind.parse(window.start), kind.parse(window.end)
    return {
        **asked,
        "initial_value": start,
        "end_value": end,
        "on_cursor_value_missing": "exclude",
        "convert": lambda value: kind.write(value, end=end),
    }


def _typed(field: str, kind: CursorType) -> Any:
    def typed(row: Any) -> Any:
        if isinstance(row, dict) and field in row:
            row[field] = kind.parse(row[field])
        return row

    return typed
