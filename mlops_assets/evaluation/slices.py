"""Slices: does some part of the rows fall too far behind the whole?

A slice refuses the candidate only if its gap is larger than allowed and more than chance among that many slices: the
lower end of its interval, at a level divided by the number of slices judged (Bonferroni), must be above 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.evaluation.quality import LEAST_BLOCKS, finite
from mlops_assets.evaluation.verdict import Criterion, Part
from mlops_assets.stats.metrics import METRICS

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.evaluation.rows import TestRows
    from mlops_assets.evaluation.spec import GateSpec, SliceSpec
    from mlops_assets.stats.bootstrap import Blocks, Interval
    from mlops_assets.stats.metrics import Metric, MetricName

    Vector = np.ndarray[Any, Any]

KIND = "slices"
MOST_SHOWN = 50


def slices(rows: TestRows, one: SliceSpec, metric: MetricName, *, blocks: Blocks, spec: GateSpec) -> Criterion:
    """Compare the metric of every large enough slice with that of all rows."""
    of = METRICS[metric]
    masks = _masks(rows.groups[one.by], one.min_rows)
    found = {name: of(rows.y[mask], rows.candidate[mask]) for name, mask in masks.items()}
    why_not = {name: _not_judged(mask, found[name], one, blocks) for name, mask in masks.items()}
    tail = spec.tail / max(sum(not reason for reason in why_not.values()), 1)
    whole = of(rows.y, rows.candidate)
    of_whole = blocks.resample(blocks.form(of, rows.y, rows.candidate))
    parts: list[Part] = []
    for name, mask in masks.items():
        part = Part(name=name, rows=int(mask.sum()), observed=finite(found[name]), note=why_not[name])
        if not part.note:
            gap = _gap(rows, of, mask, whole - found[name], of_whole, blocks=blocks, tail=tail)
            passed = gap.estimate <= one.max_gap or gap.low <= 0
            part = msgspec.structs.replace(part, gap=gap.estimate, low=gap.low, high=gap.high, passed=passed)
        parts.append(part)
    return _criterion(parts, one, metric, whole)


def _masks(group: Vector, min_rows: int) -> dict[str, Vector]:
    """Return the rows of every slice that may be judged, and of the largest others, up to `MOST_SHOWN` in all."""
    import numpy as np

    names, places, sizes = np.unique(group, return_inverse=True, return_counts=True)
    shown = max(int((sizes >= min_rows).sum()), MOST_SHOWN)
    return {str(names[place]): places == place for place in np.argsort(-sizes, kind="stable")[:shown]}


def _gap(
    rows: TestRows, of: Metric, mask: Vector, lead: float, of_whole: Vector, *, blocks: Blocks, tail: float
) -> Interval:
    """Return how much worse a slice is than all rows; a replicate that is undefined there counts as no gap."""
    import numpy as np

    sign = 1 if of.greater_is_better else -1
    values = sign * (of_whole - blocks.resample(blocks.form(of, rows.y, rows.candidate, mask)))
    return blocks.interval(sign * lead, np.nan_to_num(values, nan=0.0), tail=tail, rows=mask)


def _not_judged(mask: Vector, value: float, one: SliceSpec, blocks: Blocks) -> str:
    """Say why a slice is shown only; empty if it is judged."""
    import numpy as np

    found = len(np.unique(blocks.codes[mask]))
    if mask.sum() < one.min_rows:
        return f"fewer than {one.min_rows} rows"
    if found < LEAST_BLOCKS:
        return f"{found} blocks, fewer than {LEAST_BLOCKS}"
    return "" if np.isfinite(value) else "undefined: its rows have one class only"


def _criterion(parts: list[Part], one: SliceSpec, metric: str, whole: float) -> Criterion:
    name = f"slices_{one.by}"
    judged = sorted((part for part in parts if part.gap is not None), key=lambda part: -(part.gap or 0))
    others = sorted((part for part in parts if part.gap is None), key=lambda part: -part.rows)
    failed = [part for part in judged if not part.passed]
    worst = judged[0] if judged else None
    said = "; ".join(_said(part, metric) for part in failed or judged[:1])
    if not judged:
        said = f"no slice is large enough to be judged (`min_rows`: {one.min_rows}, blocks: {LEAST_BLOCKS})"
    return Criterion(
        name=name,
        kind=KIND,
        metric=metric,
        observed=worst.gap if worst else None,
        low=worst.low if worst else None,
        high=worst.high if worst else None,
        threshold=one.max_gap,
        passed=not failed,
        parts=(*judged, *others)[:MOST_SHOWN],
        reason=f"{name}: {metric} of all rows is {whole:.4g}; {said}; required a gap <= {one.max_gap:g}, or one that "
        f"chance explains among {len(judged)} slices",
    )


def _said(part: Part, metric: str) -> str:
    return (
        f"{part.name} ({part.rows:,} rows) has {metric} {part.observed:.4g}, "
        f"worse by {part.gap:.4g} [{part.low:.4g}, {part.high:.4g}]"
    )
