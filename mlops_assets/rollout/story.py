"""A rollout for people: a sentence, and a row for each step with the verdict of each metric.

Keep out: where it is shown (the command line, the asset, the status page), and pictures (picture.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from mlops_assets.rollout.machine import overall, spec_of
from mlops_assets.rollout.moves import named

if TYPE_CHECKING:
    from mlops_assets.rollout.evidence import Judged
    from mlops_assets.rollout.state import Look, Rollout

StepOutcome = Literal["not reached", "under way", "passed", "passed over", "ended here"]


@dataclass(frozen=True)
class StepRow:
    """One step of a rollout.

    Attributes:
        name: `shadow`, or the percentage.
        share: Of the units, that the challenger answers.
        since: When it began; None if it was not reached.
        requests: Of the challenger, at the newest look.
        outcome: What became of it; `passed over` by a person's word.
        metrics: The verdicts of the newest look, by metric.
    """

    name: str
    share: float
    since: datetime | None
    requests: int
    looks: int
    outcome: StepOutcome
    metrics: dict[str, Judged]


def step_rows(rollout: Rollout) -> list[StepRow]:
    """Return a row for each step of the plan."""
    looks = {look.step: look for look in rollout.looks}
    began = {action.what: action.at for action in rollout.actions}
    rows: list[StepRow] = []
    for place, step in enumerate(spec_of(rollout).steps):
        look, name = looks.get(place), named(step)
        rows.append(
            StepRow(
                name=name.removeprefix("step "),
                share=step.percent / 100,
                since=began.get(name),
                requests=look.requests if look else 0,
                looks=look.looks if look else 0,
                outcome=_outcome(rollout, place, look, is_reached=name in began),
                metrics={one.metric: one for one in look.judged} if look else {},
            )
        )
    return rows


def step_table(rollout: Rollout) -> str:
    """Return the steps as Markdown, from left to right: narrow enough for a page that shows it beside other things.

    A metric's cell has its value, its limit and its verdict.
    """
    rows = step_rows(rollout)
    lines = [
        ["step", *(row.name for row in rows)],
        ["---" for _ in range(len(rows) + 1)],
        ["", *(row.outcome for row in rows)],
        ["since (UTC)", *(f"{row.since:%Y-%m-%d %H:%M}" if row.since else "" for row in rows)],
        ["requests", *(f"{row.requests:,}" if row.looks else "" for row in rows)],
        ["looks", *(str(row.looks) if row.looks else "" for row in rows)],
    ]
    for name in dict.fromkeys(name for row in rows for name in row.metrics):
        cells = [metric_cell(row.metrics[name]) if name in row.metrics else "" for row in rows]
        lines.append([name.replace("_", " "), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def metric_cell(judged: Judged) -> str:
    """Return a verdict in few words.

    >>> from mlops_assets.rollout.evidence import Judged
    >>> metric_cell(Judged("latency_p99", "fail", 1.6, 1.25, "..."))
    '1.6 of 1.25: fail'
    """
    value = "" if judged.value is None else f"{judged.value:.3g}{f' of {judged.limit:.3g}' if judged.limit else ''}: "
    return f"{value}{judged.outcome.replace('_', ' ')}{' (dry run)' if judged.dry_run else ''}"


def sentence(rollout: Rollout) -> str:
    """Return where a rollout stands."""
    last = rollout.actions[-1]
    version, steps = rollout.challenger.version, spec_of(rollout).steps
    at = f"{named(steps[rollout.step])} ({rollout.step + 1} of {len(steps)})"
    by = f" by {last.who}" if last.who else ""
    when = f"{last.at:%Y-%m-%d %H:%M} UTC"
    match rollout.phase:
        case "running":
            return f"Version {version} is at {at} since {rollout.since:%Y-%m-%d %H:%M} UTC{_newest(rollout)}."
        case "paused":
            return f"Version {version} was paused{by} at {at}, {when}: {last.why}. Resume, promote or abort it."
        case "waiting":
            return f"Version {version} waits at {at} for `mlops rollout promote` since {when}."
        case "holding":
            return f"Version {version} has all traffic since {when}; version {rollout.champion.version} stays loaded beside it."
        case _:
            return (
                f"Version {version} was {rollout.phase.replace('_', ' ')}{by} at {at}, {when}: {last.why.rstrip('.')}."
            )


def _newest(rollout: Rollout) -> str:
    look = next((one for one in rollout.looks if one.step == rollout.step), None)
    if look is None:
        return ", not judged yet"
    outcome = overall(look.judged).replace("_", " ")
    failures = f", {rollout.failures} failed in a row" if rollout.failures else ""
    return f"; newest look with {look.requests:,} requests: {outcome}{failures}"


def _outcome(rollout: Rollout, place: int, look: Look | None, *, is_reached: bool) -> StepOutcome:
    if not is_reached:
        return "passed over" if place <= rollout.step else "not reached"
    if place == rollout.step and rollout.phase not in {"holding", "promoted"}:
        return "under way" if rollout.is_active else "ended here"
    return "passed" if look is not None and overall(look.judged) == "pass" else "passed over"
