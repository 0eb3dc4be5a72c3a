"""One model on the status page: its arms, its rollout, and how its traffic changed."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from mlops_assets.serving.status.text import age, count, fact, milliseconds, share

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.rollout.evidence import Judged
    from mlops_assets.serving.status.view import ArmView, ChangeView, ModelView, RolloutView, StepView

PHASES = {
    "running": ("challenger", "▸ rolling out"),
    "paused": ("warn", "‖ paused"),
    "waiting": ("warn", "‖ waits for approval"),
    "holding": ("challenger", "▸ all traffic, champion held"),
    "promoted": ("good", "✓ promoted"),
    "rolled_back": ("bad", "✕ rolled back"),
    "aborted": ("bad", "✕ aborted"),
    "superseded": ("quiet", "superseded"),
}
OUTCOMES = {
    "pass": ("good", "✓ pass"),
    "fail": ("bad", "✕ fail"),
    "inconclusive": ("warn", "? undecided"),
    "no_data": ("quiet", "— no data"),
}
LOST = ("rolled_back", "aborted")


def model_section(model: ModelView, *, now: datetime) -> str:
    """Return the whole card of a model."""
    behind = "" if model.followed >= model.generation else f", workers at {model.followed}"
    chip = ""
    if model.rollout and model.rollout.is_active:
        kind, said = PHASES[model.rollout.phase]
        chip = f'<span class="chip {kind}">{said}</span>'
    waits = f"<p><small>Version {model.queued} waits for its rollout.</small></p>" if model.queued else ""
    return (
        f"<article class=model><div class=head><h2>{escape(model.name)}</h2>{chip}"
        f"<small class=end>generation {model.generation}{behind}</small></div>{_alarm(model)}{waits}"
        f"{_traffic(model.arms)}{_rollout(model.rollout, now) if model.rollout else ''}{_history(model.history)}</article>"
    )


def _alarm(model: ModelView) -> str:
    return f"<p class=alarm>{escape(model.load_error)}</p>" if model.load_error else ""


def _traffic(arms: list[ArmView]) -> str:
    return f"<h3>Traffic</h3>{_split(arms)}<div class=arms>{''.join(map(_arm, arms))}</div>" if arms else ""


def _split(arms: list[ArmView]) -> str:
    said = ", ".join(f"{arm.variant} {arm.share:.0%}" for arm in arms)
    bars, left = "", 0.0
    for arm in arms:
        width = 100 * arm.share
        bars += f'<rect class={arm.variant} x="{left:g}%" width="{width:g}%" height="100%"></rect>'
        left += width
    return f'<svg class=split role=img aria-label="{said}">{bars}</svg>'


def _arm(arm: ArmView) -> str:
    recent = arm.recent
    gets = "shadow: scores what the champion answers" if arm.is_shadow else f"{100 * arm.share:g} %"
    instead = ""
    if arm.version != arm.routed:
        instead = f"<b class=bad>{f'in place of version {arm.routed}' if arm.version else 'not loaded'}</b>"
    numbers = [
        fact("Requests", count(recent.requests)),
        fact("Errors", share(recent.errors, recent.requests), kind="bad" if recent.errors else ""),
        fact("p50", milliseconds(recent.p50_ms)),
        fact("p99", milliseconds(recent.p99_ms)),
    ]
    return (
        f'<div class="arm {arm.variant}"><div class=head><b><span class={arm.variant}>{arm.variant.capitalize()}</span> '
        f"version {arm.version or arm.routed}</b>{instead}<span>{gets}</span><small>{escape(arm.rung)}</small></div><dl>{''.join(numbers)}</dl></div>"
    )


def _rollout(rollout: RolloutView, now: datetime) -> str:
    kind, said = PHASES[rollout.phase]
    since = age(max(0.0, (now - rollout.since).total_seconds()))
    last = f": {escape(rollout.last.why)}" if rollout.last and rollout.last.why else ""
    who = f" ({escape(rollout.last.who)})" if rollout.last and rollout.last.who else ""
    track = "".join(_step(step, rollout.phase) for step in rollout.steps)
    look = rollout.look
    judged = ""
    if look is not None:
        heading = f"Last judged at step {look.percent:g} %" if look.percent else "Last judged in the shadow"
        judged = (
            f"<h3>{heading}: {count(look.requests)} requests of the challenger, look {look.looks}</h3>"
            f"<ul class=judged>{''.join(map(_judged, look.judged))}</ul>"
        )
    step = f", step since {since}" if rollout.is_active else ""
    return (
        f"<h3>Rollout <code>{escape(rollout.id)}</code>{step}</h3><ol class=track>{track}</ol>"
        f"<p><small><b class={kind}>{said}</b>{last}{who}</small></p>{judged}"
    )


def _step(step: StepView, phase: str) -> str:
    state = "stopped" if step.state == "current" and phase in LOST else step.state
    current = " aria-current=step" if step.state == "current" else ""
    gate = "<small>then approval</small>" if step.is_manual else ""
    return f'<li class="{state}"{current}>{escape(step.name)}{gate}</li>'


def _judged(one: Judged) -> str:
    kind, said = OUTCOMES[one.outcome]
    dry = " <small>(dry run)</small>" if one.dry_run else ""
    value = "" if one.value is None else f"{one.value:.4g}"
    limit = "" if one.limit is None else f" <small>of {one.limit:.4g}</small>"
    return (
        f'<li><span class="verdict {kind}">{said}</span><b>{escape(one.metric)}{dry}</b>'
        f"<span class=value>{value}{limit}</span><small class=said>{escape(one.said)}</small></li>"
    )


def _history(changes: list[ChangeView]) -> str:
    if not changes:
        return ""
    return f"<h3>Changes of traffic (UTC)</h3><ol class=history>{''.join(map(_change, changes))}</ol>"


def _change(change: ChangeView) -> str:
    who = f" ({escape(change.who)})" if change.who else ""
    return (
        f"<li><small>{change.at:%Y-%m-%d %H:%M}</small><span><b>{escape(change.said)}</b> "
        f"<span class=quiet>{escape(change.reason)}{who}</span></span></li>"
    )
