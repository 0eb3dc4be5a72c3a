"""The record of an experiment that has ended: what was planned, what was seen, what was decided and by whom."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.evaluation.report.markdown import bullets, document, facts, table
from mlops_assets.lake.files import write_bytes
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from mlops_assets.experiment.state import Experiment, Look

ARMS = ("champion", "challenger")


def decision_uri(lake: str, experiment: Experiment, name: str = "decision.md") -> str:
    """Return where the record of an experiment is."""
    return join(lake, "experiments", experiment.model, experiment.id, name)


def write_decision(lake: str, experiment: Experiment) -> str:
    """Write the record as JSON and as a page; return where the page is. Doing it twice changes nothing."""
    as_json = json.dumps(msgspec.to_builtins(experiment) | {"verdict": verdict_of(experiment)}, indent=1)
    write_bytes(decision_uri(lake, experiment, "decision.json"), as_json.encode())
    page = decision_uri(lake, experiment)
    write_bytes(page, decision_page(experiment).encode())
    return page


def verdict_of(experiment: Experiment) -> str | None:
    """Return the verdict of an experiment; None of one that was ended without."""
    last = experiment.looks[-1] if experiment.looks else None
    return last.verdict if last and last.is_final else None


def decision_page(experiment: Experiment) -> str:
    """Return the record as Markdown."""
    last = experiment.looks[-1] if experiment.looks else None
    verdict = verdict_of(experiment)
    action = experiment.actions[-1]
    said = list(last.said) if last and verdict else [action.why]
    sections = {
        "": facts({"Hypothesis": experiment.hypothesis, "Verdict": verdict or "none", "Ended": action.at}),
        "Why": bullets(said),
        "Arms": f"{table(ARM_COLUMNS, arm_rows(experiment, last))}\n\n{told_means(last)}",
        "Plan": facts(plan_facts(experiment)),
        "Guardrails": table(RAIL_COLUMNS, rail_rows(last)) if last else "",
        "Units": f"{told_ratio(last)}" if last else "",
        "What was done": table(
            ("at", "what", "who", "why"),
            [(one.at, one.what, one.who or "a run", one.why) for one in experiment.actions],
        ),
    }
    return document(f"Experiment {experiment.id}: {experiment.phase}", sections)


RAIL_COLUMNS = ("guardrail", "worse by", "margin", "p", "breached", "seen")
ARM_COLUMNS = ("arm", "version", "units", "outcomes", "planned", "mean")


def arm_rows(experiment: Experiment, last: Look | None) -> list[tuple[Any, ...]]:
    """Return a row for each arm; the mean only where it may be seen."""
    size = experiment.plan.size
    planned, routes = (size.champion, size.challenger), (experiment.champion, experiment.challenger)
    primary = last.primary if last else None
    means = (primary.champion, primary.challenger) if primary else (None, None)
    units, outcomes = (last.units, last.outcomes) if last else ((0, 0), (0, 0))
    return [
        (arm, str(routes[at].version), units[at], outcomes[at], planned[at], means[at]) for at, arm in enumerate(ARMS)
    ]


def rail_rows(last: Look | None) -> list[tuple[Any, ...]]:
    """Return a row for each guardrail."""
    rails = last.guardrails if last else ()
    return [
        (one.name, one.value, one.limit, float(f"{one.p:.2g}"), "yes" if one.is_breached else "no", one.said)
        for one in rails
    ]


def plan_facts(experiment: Experiment) -> dict[str, object]:
    """Return what was planned, by name."""
    plan, primary = experiment.plan, experiment.asked.primary
    return {
        "Metric": f"{primary.source}, {'larger' if primary.is_larger_better else 'smaller'} is better",
        "Unit": ", ".join(experiment.unit) or "each request",
        "Minimum effect": plan.size.effect,
        "Units": plan.size.units,
        "Days": None if plan.days is None else round(plan.days, 1),
        "Power": plan.power,
        "Alpha": plan.alpha,
        "Analysis": plan.analysis
        + (f" ({plan.times_fixed:.2f} times the units of a fixed one)" if plan.times_fixed > 1 else ""),
        "Started": f"{experiment.started_at:%Y-%m-%d %H:%M} UTC",
    }


def told_ratio(last: Look) -> str:
    """Return how the units fell to the arms, as a sentence."""
    from mlops_assets.experiment.analysis import RATIO_ALPHA

    champion, challenger = last.units
    fell = f"{champion:,} units of the champion, {challenger:,} of the challenger"
    if last.ratio_p is None:
        return f"{fell}: too few to judge the split."
    return f"{fell}. That the split is the planned one: p {last.ratio_p:.2g}, alarm below {RATIO_ALPHA:g}."


def told_means(last: Look | None) -> str:
    """Return how the arms differ, as sentences; nothing where that may not be seen yet."""
    from mlops_assets.experiment.analysis import told

    primary = last.primary if last else None
    if primary is None:
        return ""
    reduced = "" if primary.reduction is None else f" CUPED took out {primary.reduction:.0%} of the variance."
    return f"Means of champion and challenger: {told(primary)}.{reduced}"
