"""One look at a rollout: what the log says of its current step, judged metric by metric.

Keep out: what follows from it (`rollout/machine.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlops_assets.predictions.log.evidence import read_sample
from mlops_assets.rollout.evidence import Evidence
from mlops_assets.rollout.judging import judge
from mlops_assets.rollout.machine import spec_of, traffic

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from mlops_assets.predictions.log.evidence import Outcomes
    from mlops_assets.predictions.log.labels import LabelRules
    from mlops_assets.predictor.signature import Task
    from mlops_assets.rollout.evidence import Sample
    from mlops_assets.rollout.routing import Routing
    from mlops_assets.rollout.state import Rollout


@dataclass(frozen=True)
class Log:
    """Where the prediction log of a model is, and how its scores are read.

    Attributes:
        capture: Segments of this machine's servers (`segments.log_folder`).
        lake: Root of the lake, for what is compacted.
    """

    capture: Path
    lake: str
    task: Task


def look(log: Log, routing: Routing, *, now: datetime, rules: LabelRules | None = None) -> Evidence:
    """Read and judge the evidence of the current step of the rollout that is under way.

    Args:
        rules: How labels come, for a plan with a label metric; None: labels say nothing.
    """
    rollout = routing.rollout
    assert rollout is not None, "whoever asks has read it"
    given = traffic(rollout)
    assert given is not None, "it is under way"
    asked = Asked(log, routing.model, rollout, rules, now)
    sample = _sample(asked, rollout.step)
    if given.share == 1 and rollout.step:  # nobody is left to compare with: the champion as it was at the step before
        sample = replace(sample, champion=_sample(asked, rollout.step - 1).champion)
    judged = judge(sample, spec_of(rollout).metrics, share=given.share, is_shadow=given.is_shadow)
    return Evidence(at=now, step=rollout.step, requests=sample.challenger.requests, judged=judged)


@dataclass(frozen=True)
class Asked:
    """What all steps of one look have in common."""

    log: Log
    model: str
    rollout: Rollout
    rules: LabelRules | None
    now: datetime


def _sample(asked: Asked, step: int) -> Sample:
    log, rollout = asked.log, asked.rollout
    since = next((one.since for one in rollout.looks if one.step == step), rollout.since)
    return read_sample(
        log.capture,
        model=asked.model,
        label=f"{rollout.id}/{step}",
        task=log.task,
        classes=_classes(rollout) if log.task == "multiclass" else (),
        lake=log.lake,
        outcomes=_outcomes(asked, step, since),
        since=since,
        is_shadow=not spec_of(rollout).steps[step].percent,
    )


def _outcomes(asked: Asked, step: int, since: datetime) -> Outcomes | None:
    """Return what labels say of a step, as far as its log is compacted."""
    from mlops_assets.predictions.log.labels import labelled_log
    from mlops_assets.predictions.log.outcomes import sample_outcomes

    spec, log, label = spec_of(asked.rollout).metrics.label, asked.log, f"{asked.rollout.id}/{step}"
    if spec is None or asked.rules is None:
        return None
    rows = labelled_log(log.lake, asked.model, asked.rules, now=asked.now, traffic=label, since=since)
    return sample_outcomes(rows, task=log.task, metric=spec.metric)


def _classes(rollout: Rollout) -> list[str]:
    """Return every class that either version knows."""
    from mlops_assets.predictor.artifact import read_manifest

    manifests = [read_manifest(route.artifact_uri) for route in (rollout.champion, rollout.challenger)]
    return list(dict.fromkeys(name for manifest in manifests for name in manifest.classes))
