"""`mlops rollout status`: where a rollout stands, what was seen, what was done, and what the servers of this machine do."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape

from mlops_assets.cli.version_page import sheet, text
from mlops_assets.clock import open_clock
from mlops_assets.lake.state import open_state
from mlops_assets.rollout.due import next_look
from mlops_assets.rollout.errors import NotRouted
from mlops_assets.rollout.heartbeat import live_servers
from mlops_assets.rollout.machine import spec_of, traffic
from mlops_assets.rollout.routing import read_routing
from mlops_assets.rollout.story import sentence, step_rows
from mlops_assets.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from rich.table import Table

    from mlops_assets.rollout.evidence import Judged
    from mlops_assets.rollout.heartbeat import Heartbeat
    from mlops_assets.rollout.routing import Routing
    from mlops_assets.rollout.state import Rollout
    from mlops_assets.rollout.story import StepRow

MARKS = {"pass": "[green]pass[/]", "fail": "[red]fail[/]", "inconclusive": "undecided", "no_data": "no data"}


def print_status(model: str, *, as_json: bool) -> None:
    """Print where the newest rollout of a model stands.

    Raises:
        NotRouted: The model was never deployed.
    """
    settings = load_settings()
    stored = read_routing(open_state(settings.lake), model)
    if stored is None:
        raise NotRouted(model, open_clock(settings.home).now(), None)
    routing, servers = stored[0], live_servers(settings.home, env=settings.env)
    if as_json:
        return _print_json(routing, servers)
    for part in _page(routing, servers):
        Console().print(part)
    return None


def _page(routing: Routing, servers: list[Heartbeat]) -> Iterator[Table | str]:
    rollout, queued = routing.rollout, routing.queued
    if rollout is None:
        yield f"{routing.model}: no rollout yet; version {routing.champion.version} has all traffic."
    else:
        yield escape(sentence(rollout))
        if not rollout.is_active:
            last = next(entry for entry in reversed(routing.history) if entry.let_go is None)
            yield f"Version {routing.champion.version} answers since {_time(last.at)} UTC: {escape(last.reason)}."
        yield sheet(f"rollout {rollout.id}", ("", ""), _facts(rollout))
        columns = ("step", "since (UTC)", "requests", "looks", "", "newest look")
        yield sheet("steps", columns, map(_step_row, step_rows(rollout)))
        if rollout.looks:
            yield sheet("last look", ("metric", "", "said"), [_metric_row(one) for one in rollout.looks[-1].judged])
        done = [(_time(one.at), one.what, escape(one.who), escape(one.why)) for one in rollout.actions]
        yield sheet("what was done", ("when", "what", "who", "why"), done)
    if queued is not None:
        yield f"Version {queued.route.version} waits for its rollout: {escape(queued.behind)}."
    yield from _servers(routing, servers)


def _facts(rollout: Rollout) -> list[tuple[str, str]]:
    given = traffic(rollout)
    share = "" if given is None else "in the shadow" if given.is_shadow else f"{given.share:.0%} of the units"
    rows = {
        "phase": rollout.phase.replace("_", " "),
        "champion": f"version {rollout.champion.version}",
        "challenger": f"version {rollout.challenger.version}, {share}".rstrip(", "),
        "units": ", ".join(spec_of(rollout).assign_by) or "each request for itself",
        "started": _time(rollout.started_at),
        "next look": f"from {_time(next_look(rollout))} on" if rollout.is_active else "",
    }
    return [(name, escape(value)) for name, value in rows.items() if value]


def _step_row(row: StepRow) -> tuple[str, ...]:
    marks = [f"{name} {MARKS[one.outcome]}" for name, one in row.metrics.items() if one.outcome != "pass"]
    passed = sum(one.outcome == "pass" for one in row.metrics.values())
    verdicts = ", ".join([*([f"{passed} [green]pass[/]"] if passed else []), *marks])
    counts = (f"{row.requests:,}", str(row.looks)) if row.looks else ("", "")
    name = f"[bold]{row.name}[/]" if row.outcome == "under way" else row.name
    return name, _time(row.since) if row.since else "", *counts, row.outcome, verdicts


def _metric_row(one: Judged) -> tuple[str, ...]:
    return f"{one.metric}{' (dry run)' if one.dry_run else ''}", MARKS[one.outcome], escape(one.said)


def _servers(routing: Routing, servers: list[Heartbeat]) -> Iterator[Table | str]:
    found = [(beat.url, beat.models.get(routing.model)) for beat in servers]
    rows = [
        (escape(url), text(one.version), text(one.challenger or None), text(one.generation), text(one.load_error))
        for url, one in found
        if one is not None
    ]
    if rows:
        columns = ("url", "champion", "challenger", "generation", "load error")
        yield sheet(f"servers of this machine (routing: generation {routing.generation})", columns, rows)
    else:
        yield "No server of this environment runs on this machine."


def _print_json(routing: Routing, servers: list[Heartbeat]) -> None:
    import msgspec

    found: dict[str, Any] = {
        "model": routing.model,
        "champion": routing.champion.version,
        "previous": routing.previous.version if routing.previous else None,
        "challenger": routing.challenger,
        "generation": routing.generation,
        "queued": routing.queued,
        "rollout": routing.rollout,
        "servers": [{"url": beat.url, "pid": beat.pid, **_serving(beat, routing.model)} for beat in servers],
    }
    typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())


def _serving(beat: Heartbeat, model: str) -> dict[str, Any]:
    import msgspec

    return msgspec.to_builtins(beat.models[model]) if model in beat.models else {}


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
