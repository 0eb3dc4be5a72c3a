"""Rollouts and evidence for tests: routes, a plan, and a look with one metric."""

from datetime import UTC, datetime, timedelta

from mlops_assets.rollout.evidence import Evidence, Judged
from mlops_assets.rollout.machine import begin
from mlops_assets.rollout.spec import RolloutSpec
from mlops_assets.rollout.state import Route

START = datetime(2024, 3, 1, 12, tzinfo=UTC)  # a Friday
OLD, NEW = Route(1, "old", "uri-1"), Route(2, "new", "uri-2")
ENOUGH = 500


def begun(*, now=START, **plan):
    return begin("delay", OLD, NEW, RolloutSpec.model_validate(plan), number=1, now=now, why="newer")


def judged(outcome="pass", *, metric="error_share", dry_run=False):
    return Judged(metric, outcome, 0.5, 1.0, f"{metric} says {outcome}.", dry_run)


def look(rollout, at, outcome="pass", *, requests=ENOUGH, step=None):
    return Evidence(at, rollout.step if step is None else step, requests, (judged(outcome),))


def after(minutes, start=START):
    return start + timedelta(minutes=minutes)
