"""The gate: judge a candidate's scores on the test rows against the criteria that were declared before training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.verdict import Criterion, Evaluated, Verdict, decide
from mlops_assets.stats.bootstrap import paired_block_bootstrap
from mlops_assets.stats.metrics import METRICS

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np

    from mlops_assets.evaluation.spec import GateSpec
    from mlops_assets.predictor.signature import Task

    Vector = np.ndarray[Any, Any]

LEAST_BLOCKS = 10
FIRST_MODEL = "first model: there is no champion to compare with"


@dataclass(frozen=True)
class TestRows:
    """The rows that a candidate is judged on; all vectors belong to the same rows.

    Attributes:
        y: Labels.
        candidate: Its scores.
        champion: Scores of the present champion, or None if there is none.
        champion_unseen: Mask of the rows that the champion was not trained on; None means all of them.
        baseline: Scores of the trivial baseline.
        blocks: Block of each row for the bootstrap.
    """

    __test__ = False  # not a test case, whatever pytest makes of its name

    y: Vector
    candidate: Vector
    champion: Vector | None
    champion_unseen: Vector | None
    baseline: Vector
    blocks: Vector


@dataclass(frozen=True)
class _Rival:
    """Scores to beat, on some of the test rows."""

    name: str
    scores: Vector
    rows: Vector
    margin: float


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
    import numpy as np

    everywhere = np.ones(len(rows.y), dtype=bool)
    rivals = [_Rival("baseline", rows.baseline, everywhere, spec.baseline_margin)]
    if rows.champion is not None:
        unseen = everywhere if rows.champion_unseen is None else rows.champion_unseen
        rivals.append(_Rival("champion", rows.champion, unseen, 0.0))
    metric = spec.metric_for(task)
    criteria = [_better(rows, rival, metric, spec, seed) for rival in rivals]
    if spec.floor is not None:
        criteria.insert(0, _floor(rows, metric, spec.floor))
    return decide(
        Evaluated(
            candidate_id=candidate_id,
            criteria=tuple(criteria),
            notes=(*notes, FIRST_MODEL) if rows.champion is None else notes,
            candidate_sha256=candidate_sha256,
            evaluated_at=now,
        )
    )


def _floor(rows: TestRows, metric: str, floor: float) -> Criterion:
    observed = METRICS[metric](rows.y, rows.candidate)
    greater = METRICS[metric].greater_is_better
    return Criterion(
        name="floor",
        observed=_defined(observed),
        threshold=floor,
        passed=observed >= floor if greater else observed <= floor,
        reason=f"floor: {metric} is {observed:.4g}; required {'>=' if greater else '<='} {floor:g}",
    )


def _better(rows: TestRows, rival: _Rival, metric: str, spec: GateSpec, seed: int) -> Criterion:
    """Compare on the rival's rows; the improvement is positive when the candidate is better, whatever the metric."""
    import numpy as np

    shared = rival.rows
    blocks = rows.blocks[shared]
    found = len(np.unique(blocks))
    if found < LEAST_BLOCKS:
        reason = f"{rival.name}: {found} blocks ({spec.block}) to compare on; required at least {LEAST_BLOCKS}"
        return Criterion(name=rival.name, observed=None, threshold=rival.margin, passed=False, reason=reason)
    pair = (rows.candidate[shared], rival.scores[shared])
    first, second = pair if METRICS[metric].greater_is_better else pair[::-1]
    interval = paired_block_bootstrap(
        METRICS[metric].prepare,
        rows.y[shared],
        first,
        second,
        blocks,
        replicates=spec.replicates,
        confidence=spec.confidence,
        seed=seed,
    )
    passed = interval.low > rival.margin
    return Criterion(
        name=rival.name,
        observed=_defined(interval.estimate),
        threshold=rival.margin,
        low=interval.low,
        high=interval.high,
        passed=passed,
        reason=(
            f"{rival.name}: {metric} is better by {interval.estimate:.4g} [{interval.low:.4g}, {interval.high:.4g}] "
            f"over {interval.blocks} blocks ({spec.block}); required a lower end > {rival.margin:g}"
        ),
    )


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value
