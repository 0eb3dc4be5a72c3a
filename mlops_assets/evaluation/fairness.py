"""Fairness: are the decisions alike for declared groups? Measured by fairlearn, with an interval over blocks.

The observed difference is judged, not an end of its interval: it is the largest of several distances, which noise only
makes larger, so that it errs against the candidate already.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.quality import finite
from mlops_assets.evaluation.verdict import Criterion, Part
from mlops_assets.stats.block_metrics import counts_by_block, divided

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from mlops_assets.evaluation.rows import TestRows
    from mlops_assets.evaluation.spec import FairnessSpec, GateSpec
    from mlops_assets.stats.block_metrics import BlockForm
    from mlops_assets.stats.bootstrap import Blocks

    Vector = np.ndarray[Any, Any]

KIND = "fairness"
PARITY, ODDS = "demographic_parity_difference", "equalized_odds_difference"


def fairness(rows: TestRows, one: FairnessSpec, *, blocks: Blocks, spec: GateSpec) -> Iterator[Criterion]:
    """Yield a criterion for each difference that has a limit."""
    import numpy as np

    group, decisions = rows.groups[one.by], rows.candidate >= spec.decision_threshold
    names, places = np.unique(group, return_inverse=True)
    cells = np.bincount(places * 4 + 2 * (rows.y > 0) + decisions, minlength=4 * len(names)).reshape(-1, 4)
    for measure in (PARITY, ODDS):
        limit = getattr(one, measure)
        if limit is None:
            continue
        why_not = [_not_judged(of, one.min_rows, measure) for of in cells]
        parts = tuple(_part(str(name), of, note, measure) for name, of, note in zip(names, cells, why_not, strict=True))
        judged = np.isin(places, [place for place, note in enumerate(why_not) if not note])
        name = f"{measure}_{one.by}"
        if sum(not note for note in why_not) < 2:  # noqa: PLR2004  a difference needs two
            yield _cannot_tell(name, limit, parts, one)
            continue
        values = blocks.resample(_differences(rows.y, decisions, places, judged, blocks, measure))
        estimate = float(_fairlearn(measure)(rows.y[judged], decisions[judged], sensitive_features=group[judged]))
        found = blocks.interval(estimate, values, tail=spec.tail, rows=judged)
        yield Criterion(
            name=name,
            kind=KIND,
            metric=measure,
            observed=estimate,
            low=finite(found.low),
            high=finite(found.high),
            threshold=limit,
            passed=estimate <= limit,
            parts=parts,
            reason=f"{name}: {estimate:.4g} [{found.low:.4g}, {found.high:.4g}] at scores >= "
            f"{spec.decision_threshold:g}; required <= {limit:g}. {_said(parts)}",
        )


def _fairlearn(measure: str) -> Callable[..., float]:
    import fairlearn.metrics

    return getattr(fairlearn.metrics, measure)


def _differences(
    y: Vector, decisions: Vector, places: Vector, judged: Vector, blocks: Blocks, measure: str
) -> BlockForm:
    """Return the measure of every resample from counts by block, group, label and decision."""
    import numpy as np

    kept, of = np.unique(places[judged], return_inverse=True)
    kinds = of * 4 + 2 * (y[judged] > 0) + decisions[judged]
    counts = counts_by_block(blocks.codes[judged], kinds, len(blocks), 4 * len(kept))

    def differences(weights: Vector) -> Vector:
        cells = (weights @ counts).reshape(len(weights), -1, 4)
        rates = [_share(cells, slice(None))] if measure == PARITY else [_share(cells, [2, 3]), _share(cells, [0, 1])]
        spreads = [np.fmax.reduce(rate, axis=1) - np.fmin.reduce(rate, axis=1) for rate in rates]
        return np.maximum.reduce(spreads)

    return differences


def _share(cells: Any, of: Any) -> Any:
    """Return the share of positive decisions among rows of all labels, or of one; the last axis is (label, decision)."""
    some = cells[..., of]
    return divided(some[..., 1::2].sum(axis=-1), some.sum(axis=-1))


def _not_judged(cells: Vector, min_rows: int, measure: str) -> str:
    if cells.sum() < min_rows:
        return f"fewer than {min_rows} rows"
    if measure == ODDS and not (cells[:2].sum() and cells[2:].sum()):
        return "its rows have one class only"
    return ""


def _part(name: str, cells: Vector, note: str, measure: str) -> Part:
    rate, hits, alarms = (float(_share(cells, of)) for of in (slice(None), [2, 3], [0, 1]))
    odds = f"true positive rate {hits:.3f}, false positive rate {alarms:.3f}" if measure == ODDS else ""
    return Part(
        name=name,
        rows=int(cells.sum()),
        observed=None if math.isnan(rate) else rate,
        passed=None,
        note="; ".join(filter(None, (odds, f"not judged: {note}" if note else ""))),
    )


def _said(parts: tuple[Part, ...]) -> str:
    """Name the groups from the one with the most positive decisions to the one with the fewest."""
    ordered = sorted((part for part in parts if "not judged" not in part.note), key=lambda part: -(part.observed or 0))
    rates = (
        f"{part.name} {part.observed:.3f} of {part.rows:,} rows" + (f" ({part.note})" if part.note else "")
        for part in ordered
    )
    return f"Positive decisions: {'; '.join(rates)}"


def _cannot_tell(name: str, limit: float, parts: tuple[Part, ...], one: FairnessSpec) -> Criterion:
    found = ", ".join(f"{part.name} ({part.rows:,} rows)" for part in parts)
    return Criterion(
        name=name,
        kind=KIND,
        observed=None,
        threshold=limit,
        passed=False,
        parts=parts,
        reason=f"{name}: found the groups {found}; required two that can be judged, of at least {one.min_rows} rows with "
        "both classes. Lengthen `split.test_days`, lower `min_rows`, or merge groups in the spine",
    )
