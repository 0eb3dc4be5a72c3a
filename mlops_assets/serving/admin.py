"""The routes of a person at the controls: follow the routing now, give the champion everything, look at the workers.

Keep out: what everybody may see (`reports.py`). Each change goes through the routing, with a name and a reason.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from mlops_assets.decoding import decoder
from mlops_assets.rollout import rollouts
from mlops_assets.rollout.heartbeat import Heartbeat, live_servers
from mlops_assets.rollout.routing import read_routing
from mlops_assets.rollout.traffic import restore_previous
from mlops_assets.serving.http import read_body
from mlops_assets.serving.openapi import refusals
from mlops_assets.serving.problems import NotJson, Problem, UnknownModel, WrongShape

if TYPE_CHECKING:
    from pathlib import Path

    from mlops_assets.clock import Clock
    from mlops_assets.lake.state import StateStore
    from mlops_assets.rollout.routing import Routing
    from mlops_assets.serving.auth import Auth
    from mlops_assets.serving.models import LoadedModels

SAME_SITE = (None, "none", "same-origin")
LONGEST_REASON_BYTES, REASON_SECONDS = 2**15, 5.0


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who wants a change, and why; kept with the routing."""

    who: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class FromAnotherSite(Problem):
    """A browser asks on behalf of a page that is not ours."""

    status = 403

    def __init__(self, found: str) -> None:
        super().__init__(
            "not from here",
            field="Sec-Fetch-Site",
            found=found,
            required="none or same-origin",
            remedy="Use curl or a program, not a page of another site.",
        )


class NoChallenger(Problem):
    """The champion has all the traffic already."""

    status = 409

    def __init__(self, model: str, version: int) -> None:
        super().__init__(
            "nothing to fall back from",
            field="model",
            found=f"{model} with version {version} alone",
            required="a challenger in the routing",
            remedy=f"To go back to the version before, run `mlops rollback {model}`.",
        )


@dataclass(frozen=True)
class Controls:
    """What the routes act on."""

    state: StateStore
    models: LoadedModels
    auth: Auth
    clock: Clock
    home: Path
    env: str
    url: str

    def workers(self) -> list[Heartbeat]:
        """Return the living workers of this server, by place."""
        living = live_servers(self.home, env=self.env)
        return sorted((one for one in living if one.url == self.url), key=lambda one: one.slot)

    def fall_back(self, model: str, wanted: Reason) -> Routing:
        """Take the challenger out at once, as an abort by a person, whatever else changes the routing meanwhile.

        Raises:
            UnknownModel: It has no routing.
            NoChallenger: It has no challenger, or not any more.
            MlopsError: The routing cannot be read or changed.
        """
        while True:
            routing = self._routing(model)
            if routing.challenger is None:
                raise NoChallenger(model, routing.champion.version)
            seen, now, who, why = routing.history[-1].generation, self.clock.now(), wanted.who, wanted.reason
            if routing.rollout is not None and routing.rollout.is_active:
                return rollouts.act(self.state, model, "abort", who=who, why=why, now=now)
            restore_previous(self.state, model, now=now, reason=why, who=who, generation=seen)
            routing = self._routing(model)
            if routing.challenger is None:
                return routing

    def _routing(self, model: str) -> Routing:
        stored = read_routing(self.state, model)
        if stored is None:
            raise UnknownModel(model, self.models.report())
        return stored[0]


def add_admin(app: FastAPI, controls: Controls) -> None:
    """Add the routes below /admin; each wants a key of scope admin, where keys are used."""

    def guard(request: Request) -> None:
        site = request.headers.get("sec-fetch-site")
        if site not in SAME_SITE:
            raise FromAnotherSite(str(site))
        controls.auth.check(dict(request.scope["headers"]), "admin")

    router = APIRouter(prefix="/admin", dependencies=[Depends(guard)], responses=refusals(401, 403), tags=["admin"])

    @router.get("/workers")
    def workers() -> Response:
        """List the workers: process, age, restarts, what they serve, their last minute."""
        return _json({"workers": controls.workers()})

    @router.post("/reload", responses=refusals(503))
    def reload() -> Response:
        """Follow the routing now; a version that could not be loaded is tried again. The other workers follow by themselves."""
        controls.models.follow(again=True)
        return _json({"models": controls.models.report()})

    body = {"requestBody": {"required": True, "content": {"application/json": {"schema": _inline(Reason)}}}}

    @router.post("/models/{name}/fall-back", responses=refusals(400, 404, 408, 409, 413, 422, 503), openapi_extra=body)
    async def fall_back(name: str, request: Request) -> Response:
        """Give the champion all the traffic at once; a rollout that is under way counts as aborted."""
        wanted = await _reason(request)
        routing = await run_in_threadpool(controls.fall_back, name, wanted)
        await run_in_threadpool(controls.models.follow)
        return _json({"model": name, "version": routing.champion.version, "generation": routing.generation})

    app.include_router(router)


def _inline(kind: type[msgspec.Struct]) -> dict[str, Any]:
    (schema,), components = msgspec.json.schema_components([kind])
    return components[schema["$ref"].rpartition("/")[2]]


async def _reason(request: Request) -> Reason:
    headers = dict(request.scope["headers"])
    body = await read_body(
        asyncio.get_running_loop(), request.receive, headers, most=LONGEST_REASON_BYTES, seconds=REASON_SECONDS
    )
    try:
        return decoder(Reason).decode(body)
    except msgspec.ValidationError as error:
        raise WrongShape(str(error), required='{"who": "…", "reason": "…"}') from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJson(str(error)) from error


def _json(value: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
