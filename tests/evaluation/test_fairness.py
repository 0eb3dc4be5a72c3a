"""Fairness against fairlearn, for the observed value and for every resample."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

from mlops_assets.evaluation.fairness import _differences, fairness
from mlops_assets.evaluation.rows import TestRows
from mlops_assets.evaluation.spec import FairnessSpec, GateSpec
from mlops_assets.stats.bootstrap import Blocks

THEIRS = {
    "demographic_parity_difference": demographic_parity_difference,
    "equalized_odds_difference": equalized_odds_difference,
}
DAYS, PER_DAY = 20, 80


def _rows(bias=1.5, seed=0):
    """Return rows of three groups; one of them is scored lower than its outcomes deserve."""
    rng = np.random.default_rng(seed)
    count = DAYS * PER_DAY
    y, group = rng.integers(0, 2, count).astype(float), rng.choice(["x", "y", "z"], count)
    scores = 1 / (1 + np.exp(-(2 * y - 1 - bias * (group == "z") + rng.normal(size=count))))
    return TestRows(y, scores, None, None, scores, np.repeat(np.arange(DAYS), PER_DAY), {"sex": group})


def _judge(rows, threshold=0.5, **limits: Any) -> list[Any]:
    one = FairnessSpec(by="sex", **limits)
    spec = GateSpec(decision_threshold=threshold)
    return list(fairness(rows, one, blocks=Blocks.of(rows.blocks, replicates=400, seed=0), spec=spec))


@pytest.mark.parametrize("measure", THEIRS)
@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_the_observed_value_is_fairlearns(measure, threshold):
    rows = _rows()
    found = _judge(rows, threshold, **{measure: 0.1})[0]
    expected = THEIRS[measure](rows.y, rows.candidate >= threshold, sensitive_features=rows.groups["sex"])
    assert found.observed == expected
    assert found.low < expected < found.high
    assert (found.name, found.kind, found.passed) == (f"{measure}_sex", "fairness", False)
    assert f"at scores >= {threshold:g}; required <= 0.1" in found.reason


@pytest.mark.parametrize("measure", THEIRS)
@pytest.mark.parametrize("threshold", [0.2, 0.8])  # false positives differ most, then true positives
def test_a_resample_has_fairlearns_value_of_its_copied_rows(measure, threshold):
    rows = _rows()
    codes, decisions = rows.blocks, rows.candidate >= threshold
    places, judged = np.unique(rows.groups["sex"], return_inverse=True)[1], rows.groups["sex"] != "y"
    draws = np.random.default_rng(1).multinomial(DAYS, [1 / DAYS] * DAYS, size=10)
    blocks = Blocks.of(codes, replicates=10, seed=0)

    found = _differences(rows.y, decisions, places, judged, blocks, measure)(draws.astype(float))

    for draw, value in zip(draws, found, strict=True):
        copied = np.repeat(np.arange(len(codes)), draw[codes])
        copied = copied[judged[copied]]
        expected = THEIRS[measure](rows.y[copied], decisions[copied], sensitive_features=rows.groups["sex"][copied])
        assert value == pytest.approx(expected, abs=1e-12)


def test_the_groups_are_named_with_their_rates():
    rows = _rows()
    parity, odds = _judge(rows, demographic_parity_difference=0.1, equalized_odds_difference=0.1)
    of_z = rows.groups["sex"] == "z"
    rate = (rows.candidate[of_z] >= 0.5).mean()
    assert f"z {rate:.3f} of {of_z.sum()} rows" in parity.reason
    assert parity.reason.index("Positive decisions: ") < parity.reason.index("z ")
    assert parity.reason.rstrip().endswith(f"z {rate:.3f} of {of_z.sum()} rows")  # the fewest come last
    hits = (rows.candidate[of_z & (rows.y == 1)] >= 0.5).mean()
    assert f"true positive rate {hits:.3f}" in odds.reason


def test_alike_groups_pass():
    assert [
        found.passed for found in _judge(_rows(0), demographic_parity_difference=0.1, equalized_odds_difference=0.1)
    ] == [True, True]


def test_small_groups_are_shown_not_judged():
    rows = _rows(bias=0)
    group = rows.groups["sex"].copy()
    group[np.flatnonzero(rows.candidate < 0.5)[:100]] = "w"  # never a positive decision
    found = _judge(replace(rows, groups={"sex": group}), demographic_parity_difference=0.2)[0]
    small = next(part for part in found.parts if part.name == "w")
    assert found.passed
    assert (small.observed, small.rows, small.note) == (0.0, 100, "not judged: fewer than 200 rows")
    assert " w " not in found.reason


def test_odds_need_both_classes_of_a_group():
    rows = _rows(bias=0)
    y = np.where(rows.groups["sex"] == "x", 1.0, rows.y)
    found = _judge(replace(rows, y=y), equalized_odds_difference=0.5)[0]
    assert next(part for part in found.parts if part.name == "x").note.endswith(
        "not judged: its rows have one class only"
    )
    kept = rows.groups["sex"] != "x"
    assert found.observed == equalized_odds_difference(
        y[kept], rows.candidate[kept] >= 0.5, sensitive_features=rows.groups["sex"][kept]
    )


def test_what_cannot_be_judged_is_not_passed():
    found = _judge(_rows(), demographic_parity_difference=0.9, min_rows=100_000)[0]
    assert (found.passed, found.observed) == (False, None)
    assert "required two that can be judged, of at least 100000 rows" in found.reason
