"""What becomes of a rollout: a pure function of its state, the evidence and the time.

Add here: transitions. Keep out: what the evidence says (judging.py), the store (traffic.py), clocks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlops_assets.rollout.evidence import WORST_FIRST, Evidence, Judged, Outcome
from mlops_assets.rollout.freeze import frozen_until
from mlops_assets.rollout.moves import ended, forward, moved, named, require, require_thaw
from mlops_assets.rollout.spec import RolloutSpec
from mlops_assets.rollout.state import Action, Look, Rollout, Route, Traffic

if TYPE_CHECKING:
    from collections.abc import Sequence


def begin(
    model: str,
    champion: Route,
    challenger: Route,
    spec: RolloutSpec,
    *,
    number: int,
    now: datetime,
    why: str,
    who: str = "",
) -> Rollout:
    """Return a rollout at its first step.

    Args:
        spec: With `assign_by` written out, because the rollout keeps it as it is.
        number: Tells the rollouts of one version apart.

    Raises:
        RolloutFrozen: Its first step gives traffic, and nothing goes forward now.
    """
    rollout_id = f"{model}-{challenger.version}-{number}"
    if spec.steps[0].percent:
        require_thaw(rollout_id, spec, now)
    return Rollout(
        id=rollout_id,
        plan=spec.model_dump(mode="json"),
        champion=champion,
        challenger=challenger,
        phase="running",
        step=0,
        since=now,
        started_at=now,
        actions=(Action(named(spec.steps[0]), who, now, why),),
    )


def spec_of(rollout: Rollout) -> RolloutSpec:
    """Return the plan that the rollout was started with."""
    return RolloutSpec.model_validate(rollout.plan)


def traffic(rollout: Rollout) -> Traffic | None:
    """Return what the challenger gets now; nothing after the end, when one version has it all."""
    if not rollout.is_active:
        return None
    spec = spec_of(rollout)
    percent = spec.steps[rollout.step].percent
    return Traffic(
        route=rollout.challenger,
        label=f"{rollout.id}/{rollout.step}",
        share=percent / 100,
        salt=rollout.salt or rollout.id,
        assign_by=tuple(spec.assign_by),
        is_shadow=percent == 0,
        fast_fail=(spec.fast_fail.error_share, spec.fast_fail.window_requests),
    )


def tick(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    """Return the rollout after a look at its current step.

    Evidence about another step, from before the step, from the future, or not newer than the last look changes nothing.
    A paused or waiting rollout is judged too: it goes back, but never forward. A step or look that lies more than an interval
    after `now` was noted by a clock that has been set back since, and keeps nobody from looking.
    """
    if not rollout.is_active or not _is_news(rollout, evidence, now):
        return rollout
    spec, outcome = spec_of(rollout), overall(evidence.judged)
    seen = replace(
        rollout,
        since=min(rollout.since, evidence.at),
        ticked_at=evidence.at,
        ticks=rollout.ticks + 1,
        failures=rollout.failures + 1 if outcome == "fail" else 0,
        looks=_looks(rollout, spec.steps[rollout.step].percent, evidence),
    )
    if seen.failures >= spec.failure_limit:
        return roll_back(seen, who="", why=_said(evidence.judged, "fail"), now=now)
    if outcome == "fail":
        return seen
    if seen.phase == "running":
        return _decided(seen, spec, evidence, outcome, now)
    has_held = evidence.at - seen.since >= timedelta(minutes=spec.hold_minutes)
    if seen.phase == "holding" and has_held and not frozen_until(spec.freeze, now):
        return moved(seen, "promoted", who="", why=f"held {spec.hold_minutes:g} minutes with all traffic", now=now)
    return seen


def overall(judged: Sequence[Judged]) -> Outcome:
    """Return the worst outcome of those metrics that have a say.

    >>> overall(
    ...     [Judged("a", "pass", 0, 1, ""), Judged("b", "no_data", None, 1, ""), Judged("c", "fail", 2, 1, "", True)]
    ... )
    'no_data'
    """
    found: list[Outcome] = ["pass", *(one.outcome for one in judged if not one.dry_run)]
    return min(found, key=WORST_FIRST.index)


def pause(rollout: Rollout, *, who: str, why: str, now: datetime) -> Rollout:
    """Stay at the step until somebody resumes.

    Raises:
        RolloutOver: It has ended.
        NotPossibleNow: It stands still already.
    """
    require(rollout, "pause", "running")
    return moved(rollout, "paused", who=who, why=why, now=now)


def resume(rollout: Rollout, *, who: str, why: str, now: datetime) -> Rollout:
    """Go on with the step, whose time begins anew.

    Raises:
        RolloutOver: It has ended.
        NotPossibleNow: It is not paused.
    """
    require(rollout, "resume", "paused")
    return replace(moved(rollout, "running", who=who, why=why, now=now), since=now, failures=0)


def promote(rollout: Rollout, *, who: str, why: str, now: datetime, full: bool) -> Rollout:
    """Go past a manual gate or a pause to the next step, or to the end at once.

    Args:
        full: From whatever phase to the end, whatever the evidence.

    Raises:
        RolloutOver: It has ended.
        NotPossibleNow: It goes on by itself.
        RolloutFrozen: Nothing goes forward now.
    """
    require(rollout, "promote", *(("running", "holding") if full else ()), "waiting", "paused")
    spec = spec_of(rollout)
    require_thaw(rollout.id, spec, now)
    if full:
        return moved(replace(rollout, step=len(spec.steps) - 1), "promoted", who=who, why=why, now=now)
    return forward(rollout, spec, who=who, why=why, now=now)


def abort(rollout: Rollout, *, who: str, why: str, now: datetime) -> Rollout:
    """End it at a person's word; the champion answers alone.

    Raises:
        RolloutOver: It has ended.
    """
    return ended(rollout, "aborted", who=who, why=why, now=now)


def roll_back(rollout: Rollout, *, who: str, why: str, now: datetime) -> Rollout:
    """End it at the word of a judgement or a server; the champion answers alone.

    Raises:
        RolloutOver: It has ended.
    """
    return ended(rollout, "rolled_back", who=who, why=why, now=now)


def supersede(rollout: Rollout, *, who: str, why: str, now: datetime) -> Rollout:
    """End it because of a newer version.

    Raises:
        RolloutOver: It has ended.
    """
    return ended(rollout, "superseded", who=who, why=why, now=now)


def _is_news(rollout: Rollout, evidence: Evidence, now: datetime) -> bool:
    latest = now + timedelta(seconds=spec_of(rollout).interval_seconds)  # clocks of machines differ
    is_old = evidence.at < rollout.since <= latest or (
        rollout.ticked_at is not None and evidence.at <= rollout.ticked_at <= latest
    )
    return evidence.step == rollout.step and evidence.at <= now and not is_old


def _looks(rollout: Rollout, percent: float, evidence: Evidence) -> tuple[Look, ...]:
    others = tuple(look for look in rollout.looks if look.step != rollout.step)
    last = next((look for look in rollout.looks if look.step == rollout.step), None)
    since, count = (last.since, last.looks) if last else (rollout.since, 0)
    since = min(since, evidence.at)
    return (
        *others,
        Look(rollout.step, percent, since, evidence.at, evidence.requests, evidence.judged, count + 1),
    )


def _decided(rollout: Rollout, spec: RolloutSpec, evidence: Evidence, outcome: Outcome, now: datetime) -> Rollout:
    """Go forward, stop, or stay: the look did not fail."""
    step, elapsed = spec.steps[rollout.step], evidence.at - rollout.since
    bake = timedelta(minutes=spec.bake_minutes if step.bake_minutes is None else step.bake_minutes)
    is_short = evidence.requests < (spec.min_requests if step.min_requests is None else step.min_requests)
    if elapsed < bake:
        return rollout
    if outcome == "pass" and not is_short:
        return rollout if frozen_until(spec.freeze, now) else _passed(rollout, spec, evidence, now)
    if elapsed < timedelta(minutes=spec.max_bake_minutes):
        return rollout
    if is_short or outcome == "no_data":
        found = f"{evidence.requests} requests. {_said(evidence.judged, 'no_data')}".strip()
        return _stopped(rollout, spec.on_no_data, f"too little data after {_minutes(elapsed)}: {found}", now)
    why = f"undecided after {_minutes(elapsed)}: {_said(evidence.judged, 'inconclusive')}"
    return _stopped(rollout, spec.on_inconclusive, why, now)


def _passed(rollout: Rollout, spec: RolloutSpec, evidence: Evidence, now: datetime) -> Rollout:
    why = f"passed with {evidence.requests} requests in {_minutes(evidence.at - rollout.since)}"
    if spec.steps[rollout.step].gate == "manual":
        return moved(rollout, "waiting", who="", why=f"{why}; the gate after this step is manual", now=now)
    return forward(rollout, spec, who="", why=why, now=now)


def _stopped(rollout: Rollout, how: str, why: str, now: datetime) -> Rollout:
    if how == "hold":
        return rollout
    return moved(rollout, "paused" if how == "pause" else "rolled_back", who="", why=why, now=now)


def _said(judged: Sequence[Judged], outcome: Outcome) -> str:
    return " ".join(one.said for one in judged if one.outcome == outcome and not one.dry_run)


def _minutes(elapsed: timedelta) -> str:
    return f"{elapsed.total_seconds() / 60:.0f} min"
