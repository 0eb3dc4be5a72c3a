"""`mlops experiment plan` and `status`: what it takes, and where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape

from mlops_assets.cli.experiments import experiment_spec
from mlops_assets.cli.version_page import sheet, text
from mlops_assets.experiment.errors import NoExperiment
from mlops_assets.experiment.placement import has_traffic
from mlops_assets.experiment.record import (
    ARM_COLUMNS,
    RAIL_COLUMNS,
    arm_rows,
    decision_uri,
    plan_facts,
    rail_rows,
    told_means,
    told_ratio,
    verdict_of,
)
from mlops_assets.experiment.state import read_experiment
from mlops_assets.lake.state import open_state
from mlops_assets.rollout.routing import read_routing
from mlops_assets.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.table import Table

    from mlops_assets.experiment.plan import Plan, Size
    from mlops_assets.experiment.spec import ExperimentSpec
    from mlops_assets.experiment.state import Experiment


def print_plan(model: str, units_per_day: float | None, defs: Path | None) -> None:
    """Print sizes and durations for the file's minimum effect, and for others.

    Raises:
        NoExperimentSpec: The file says nothing about experiments.
    """
    from mlops_assets.experiment.plan import curve, plan

    spec = experiment_spec(model, defs)
    planned = plan(spec, units_per_day)
    console = Console()
    console.print(sheet(f"{model}: plan of an experiment", ("", ""), _plan_rows(spec, planned)))
    rows = [_size_row(one) for one in curve(spec, units_per_day)]
    console.print(sheet("what an effect costs", ("effect", "champion", "challenger", "days"), rows))
    for warning in planned.warnings:
        console.print(f"[yellow]{escape(warning)}[/]")


def print_status(model: str, *, as_json: bool) -> None:
    """Print where the newest experiment of a model stands.

    Raises:
        NoExperiment: It never had one.
    """
    settings = load_settings()
    state = open_state(settings.lake)
    found = read_experiment(state, model)
    if found is None:
        raise NoExperiment(model)
    if as_json:
        return _print_json(found, settings.lake)
    routed = read_routing(state, model)
    is_in_traffic = routed is not None and has_traffic(routed[0], found)
    for part in _page(found, settings.lake, is_in_traffic=is_in_traffic):
        Console().print(part)
    return None


def _plan_rows(spec: ExperimentSpec, planned: Plan) -> list[tuple[str, str]]:
    primary, size = spec.primary, planned.size
    more = f", {planned.times_fixed:.2f} times a fixed test" if planned.times_fixed > 1 else ""
    rows = {
        "metric": f"{primary.source}, a {primary.kind}, now {primary.baseline:g}",
        "unit": ", ".join(spec.unit) or "each request for itself",
        "minimum effect": f"{primary.minimum_effect:g}",
        "power, alpha": f"{spec.power:g}, {spec.alpha:g} (two-sided)",
        "analysis": spec.analysis,
        "units": f"{size.units:,} with an outcome{more}",
        "champion": f"{size.champion:,}",
        "challenger": f"{size.challenger:,}",
        "days": "not known" if planned.days is None else f"{planned.days:.1f} (at least {spec.minimum_days:g})",
    }
    if planned.expected_share < 1:
        rows["on average"] = f"{planned.expected_share:.0%} of these units, if the effect is the minimum effect"
    return [(name, escape(value)) for name, value in rows.items()]


def _size_row(size: Size) -> tuple[str, ...]:
    days = "" if size.days is None else f"{size.days:.1f}"
    return f"{size.effect:.4g}", f"{size.champion:,}", f"{size.challenger:,}", days


def _page(found: Experiment, lake: str, *, is_in_traffic: bool) -> Iterator[Table | str]:
    last, action = found.looks[-1] if found.looks else None, found.actions[-1]
    phase = found.phase if found.is_running else f"{found.phase}: {action.why}"
    facts = {"phase": phase, "hypothesis": found.hypothesis, "verdict": verdict_of(found)}
    named = {**facts, **plan_facts(found)}
    yield sheet(f"experiment {found.id}", ("", ""), [(name.lower(), text(one)) for name, one in named.items() if one])
    yield sheet("arms", ARM_COLUMNS, [tuple(map(text, row)) for row in arm_rows(found, last)])
    if last is not None:
        yield escape(f"{told_means(last)}\n{told_ratio(last)}".strip())
        if last.guardrails:
            yield sheet("guardrails", RAIL_COLUMNS, [tuple(map(text, row)) for row in rail_rows(last)])
        yield from map(escape, last.said)
    if not found.is_running:
        yield escape(f"Record: {decision_uri(lake, found)}")
    elif last is None:
        yield f"Nobody has looked yet: run `{found.model}_experiment`."
    if is_in_traffic != found.is_running:
        yield f"[yellow]The traffic does not follow yet: run `{found.model}_experiment`.[/]"


def _print_json(found: Experiment, lake: str) -> None:
    import msgspec

    facts: dict[str, Any] = {**msgspec.to_builtins(found), "verdict": verdict_of(found)}
    if not found.is_running:
        facts["decision"] = decision_uri(lake, found)
    typer.echo(msgspec.json.format(msgspec.json.encode(facts)).decode())
