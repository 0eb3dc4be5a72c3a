"""Criteria that a candidate must show: floors, the trivial baseline, the champion, and metrics that may not suffer.

All of them ask for the worse end of an interval, so that a candidate which does not deserve it passes each with a chance
of at most (1 - confidence) / 2 (ADR 0020). No correction for their number is needed, because every one must be met.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.verdict import Criterion
from mlops_assets.stats.bootstrap import Blocks, paired_interval
from mlops_assets.stats.metrics import METRICS

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.evaluation.rows import TestRows
    from mlops_assets.evaluation.spec import GateSpec
    from mlops_assets.stats.bootstrap import Interval
    from mlops_assets.stats.metrics import Metric, MetricName

    Vector = np.ndarray[Any, Any]

LEAST_BLOCKS = 10
MOST_BLOCKS_NAMED = 1000
WORST = 3


def floor(rows: TestRows, name: str, metric: MetricName, floor: float, *, blocks: Blocks, spec: GateSpec) -> Criterion:
    """Require that the worse end of the metric's own interval reaches the floor."""
    import numpy as np

    if len(blocks) < LEAST_BLOCKS:
        return _too_few(name, len(blocks), floor, spec)
    of = METRICS[metric]
    values = blocks.resample(blocks.form(of, rows.y, rows.candidate))
    found = blocks.interval(of(rows.y, rows.candidate), values, tail=spec.tail)
    end, shown, sign, which = (
        (found.low, found.low >= floor, ">=", "a lower")
        if of.greater_is_better
        else (found.high, found.high <= floor, "<=", "an upper")
    )
    return Criterion(
        name=name,
        metric=metric,
        observed=finite(found.estimate),
        threshold=floor,
        low=finite(found.low),
        high=finite(found.high),
        passed=shown and np.isfinite([found.estimate, end]).all().item(),
        reason=f"{name}: {metric} is {_with_interval(found)} over {found.blocks} blocks ({spec.block}); "
        f"required {which} end {sign} {floor:g}",
    )


def better(
    rows: TestRows, name: str, metric: MetricName, rival: Vector, *, blocks: Blocks, margin: float, spec: GateSpec
) -> Criterion:
    """Require that the candidate is better than a rival by more than `margin`; a negative one allows to be worse.

    Args:
        rows: The rows to compare on, `blocks` theirs.
        rival: Scores of the same rows.
    """
    if len(blocks) < LEAST_BLOCKS:
        return _too_few(name, len(blocks), margin, spec)
    of = METRICS[metric]
    found = paired_interval(of, rows.y, rows.candidate, rival, blocks, tail=spec.tail)
    passed = found.low > margin
    return Criterion(
        name=name,
        metric=metric,
        observed=finite(found.estimate),
        threshold=margin,
        low=finite(found.low),
        high=finite(found.high),
        passed=passed,
        reason=f"{name}: {metric} is better by {_with_interval(found)} over {found.blocks} blocks ({spec.block}); "
        f"required a lower end > {margin:g}" + ("" if passed else _why(rows, rival, of, found, blocks, margin)),
    )


def finite(value: float) -> float | None:
    """Return a number, or None where there is none."""
    return value if math.isfinite(value) else None


def _too_few(name: str, found: int, threshold: float, spec: GateSpec) -> Criterion:
    return Criterion(
        name=name,
        observed=None,
        threshold=threshold,
        passed=False,
        reason=f"{name}: {found} blocks ({spec.block}) to compare on; required at least {LEAST_BLOCKS}",
    )


def _with_interval(found: Interval) -> str:
    return f"{found.estimate:.4g} [{found.low:.4g}, {found.high:.4g}]"


def _why(rows: TestRows, rival: Vector, metric: Metric, found: Interval, blocks: Blocks, margin: float) -> str:
    """Say whether the candidate lost or only failed to show that it won, and where it lost most."""
    import numpy as np

    if not np.isfinite(found.estimate):
        return ". The metric is undefined on these rows"
    if np.array_equal(rows.candidate, rival):
        return ". Both give the same scores"
    if found.high > margin:
        verdict = "neither better nor worse is shown; more blocks (longer `split.test_days`) narrow the interval"
    else:
        verdict = "it is shown not to be"
    return f". {verdict.capitalize()}{_worst_blocks(rows, rival, metric, blocks)}"


def _worst_blocks(rows: TestRows, rival: Vector, metric: Metric, blocks: Blocks) -> str:
    import numpy as np

    if len(blocks) > MOST_BLOCKS_NAMED:
        return ""
    sign, alone = 1 if metric.greater_is_better else -1, np.eye(len(blocks))
    ours, theirs = (blocks.form(metric, rows.y, scores)(alone) for scores in (rows.candidate, rival))
    lost = sign * (ours - theirs)
    worst = [place for place in np.argsort(lost)[:WORST] if lost[place] < 0]
    if not worst:
        return ""
    named = ", ".join(f"{blocks.names[place]} ({lost[place]:+.3g})" for place in worst)
    return f"; it is worse in {int((lost < 0).sum())} of {len(blocks)} blocks, most in {named}"
