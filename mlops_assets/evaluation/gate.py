"""The gate: judge a candidate's scores on the test rows against the criteria that were declared before training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.calibration_error import calibration_error
from mlops_assets.evaluation.fairness import fairness
from mlops_assets.evaluation.quality import better, floor
from mlops_assets.evaluation.slices import slices
from mlops_assets.evaluation.verdict import Evaluated, Verdict, decide
from mlops_assets.stats.bootstrap import Blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import numpy as np

    from mlops_assets.evaluation.rows import TestRows
    from mlops_assets.evaluation.spec import GateSpec
    from mlops_assets.evaluation.verdict import Criterion
    from mlops_assets.predictor.signature import Task

    Vector = np.ndarray[Any, Any]

FIRST_MODEL = "first model: there is no champion to compare with"


def judge(
    candidate_id: str,
    rows: TestRows,
    *,
    candidate_sha256: str,
    spec: GateSpec,
    task: Task,
    seed: int,
    notes: tuple[str, ...] = (),
    now: datetime,
) -> Verdict:
    """Approve the candidate only if it meets every criterion; a tie is no reason to change.

    Args:
        candidate_sha256: Identity of the saved model that gave the scores.
        seed: Seed of the bootstrap.
        notes: What a reader of the verdict should know besides.
        now: Time of the verdict.
    """
    return decide(
        Evaluated(
            candidate_id=candidate_id,
            criteria=(*_quality(rows, spec, task, seed), *_harm(rows, spec, task, seed)),
            notes=(*notes, FIRST_MODEL) if rows.champion is None else notes,
            candidate_sha256=candidate_sha256,
            evaluated_at=now,
        )
    )


def _quality(rows: TestRows, spec: GateSpec, task: Task, seed: int) -> Iterator[Criterion]:
    """Yield what the candidate must show: it reaches the floors, and beats the baseline and the champion."""
    metric = spec.metric_for(task)
    blocks = Blocks.of(rows.blocks, replicates=spec.replicates, seed=seed)
    if spec.floor is not None:
        yield floor(rows, "floor", metric, spec.floor, blocks=blocks, spec=spec)
    for name, least in spec.floors.items():
        yield floor(rows, f"floor_{name}", name, least, blocks=blocks, spec=spec)
    yield better(rows, "baseline", metric, rows.baseline, blocks=blocks, margin=spec.baseline_margin, spec=spec)
    if rows.champion is not None:
        yield from _against(rows.champion, rows, spec, task, seed)


def _against(champion: Vector, rows: TestRows, spec: GateSpec, task: Task, seed: int) -> Iterator[Criterion]:
    """Compare with the champion on the rows that it has not seen either."""
    unseen = slice(None) if rows.champion_unseen is None else rows.champion_unseen
    champion = champion[unseen]
    shared = replace(rows, y=rows.y[unseen], candidate=rows.candidate[unseen])
    blocks = Blocks.of(rows.blocks[unseen], replicates=spec.replicates, seed=seed)
    yield better(shared, "champion", spec.metric_for(task), champion, blocks=blocks, margin=0, spec=spec)
    for name, margin in spec.non_inferior.items():
        yield better(shared, f"non_inferior_{name}", name, champion, blocks=blocks, margin=-margin, spec=spec)


def _harm(rows: TestRows, spec: GateSpec, task: Task, seed: int) -> Iterator[Criterion]:
    """Yield what the candidate must not do: promise wrong probabilities, fail a part of the rows, or a group."""
    blocks = Blocks.of(rows.blocks, replicates=spec.replicates, seed=seed)
    if spec.calibration_error is not None:
        yield calibration_error(rows, spec.calibration_error, blocks=blocks, spec=spec)
    for one in spec.slices:
        yield slices(rows, one, spec.metric_for(task), blocks=blocks, spec=spec)
    for one in spec.fairness:
        yield from fairness(rows, one, blocks=blocks, spec=spec)
