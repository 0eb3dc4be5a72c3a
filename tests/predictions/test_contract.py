"""What the contract of predictions finds, against conditions worked out by hand and by brute force."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.predictions.contract import (
    BOUNDS,
    CONDITIONS,
    DISTINCT,
    FINITE,
    HAS_ROWS,
    LOOKED_UP,
    MEAN,
    Tally,
    judge,
)
from mlops_assets.predictions.spec import PredictionContractSpec

NAN = math.nan


def tally(scores: list[float], features: list[list[float | None]] | None = None, *, wanted: int = 1) -> Tally:
    names = [f"f{place}" for place in range(len(features or []))]
    counted = Tally(names, wanted)
    for start in range(0, max(1, len(scores)), 3):  # in parts
        part = slice(start, start + 3)
        table = pa.table({"id": scores[part]})
        for name, values in zip(names, features or [], strict=True):
            table = table.append_column(name, pa.array(values[part], pa.float64()))
        counted.add(table, np.array(scores[part], dtype=np.float64))
    return counted


def broken(counted: Tally, task: Any = "binary", **spec: Any) -> dict[str, str]:
    """Return the severity of each check that failed."""
    contract = PredictionContractSpec(distinct_min=counted.distinct_wanted, **spec)
    findings = judge(counted, contract, task)
    assert [one.rule for one in findings] == list(CONDITIONS)
    return {one.rule: one.severity for one in findings if not one.passed}


def test_plain_probabilities_keep_the_default_contract():
    assert broken(tally([0.0, 0.3, 1.0])) == {}


@pytest.mark.parametrize("score", [NAN, math.inf, -math.inf])
@pytest.mark.parametrize("severity", ["warn", "block"])
def test_a_score_that_is_no_number_is_refused_whatever_the_severity(score, severity):
    found = broken(tally([0.5, score, 0.5, 0.5]), severity=severity)
    assert found == {FINITE: "block"}


def test_probabilities_lie_between_0_and_1_and_values_of_a_regression_anywhere():
    assert broken(tally([0.5, 1.0000001])) == {BOUNDS: "block"}
    assert broken(tally([-1e-9, 0.5]), "multiclass") == {BOUNDS: "block"}
    assert broken(tally([-5.0, 1e9]), "regression") == {}


@pytest.mark.parametrize(
    ("spec", "is_broken"),
    [({"min": 2.0}, False), ({"min": 2.1}, True), ({"max": 8.0}, False), ({"max": 7.9}, True)],
)
def test_bounds_of_the_file_are_inclusive(spec, is_broken):
    assert broken(tally([2.0, 4.0, 5.0, 8.0]), "regression", **spec) == ({BOUNDS: "block"} if is_broken else {})


def test_the_mean_keeps_to_its_band():
    counted = tally([0.1, 0.2, 0.6, 0.7])  # 0.4
    assert broken(counted, mean_min=0.39, mean_max=0.41) == {}
    assert broken(counted, mean_min=0.41, severity="warn") == {MEAN: "warn"}
    assert broken(counted, mean_max=0.39) == {MEAN: "block"}


def test_a_model_that_is_stuck_gives_too_few_scores():
    assert broken(tally([0.5] * 9, wanted=2)) == {DISTINCT: "block"}
    assert broken(tally([0.5] * 8 + [0.6], wanted=2)) == {}
    assert broken(tally([0.5, 0.6], wanted=3)) == {DISTINCT: "block"}


def test_rows_that_found_no_looked_up_feature_are_counted():
    features: list[list[float | None]] = [[1.0, None, None, NAN], [None, None, 2.0, None]]  # rows 1 and 3 found none
    counted = tally([0.5] * 4, features)
    assert counted.without_features == 2
    assert broken(counted, max_null_features=0.5) == {}
    assert broken(counted, max_null_features=0.49) == {LOOKED_UP: "block"}
    assert broken(tally([0.5] * 4), max_null_features=0) == {}, "a model that looks nothing up"


def test_a_window_without_rows_is_said_and_breaks_nothing_else():
    assert broken(tally([], wanted=5), mean_min=0.5, max_null_features=0) == {HAS_ROWS: "warn"}


def test_what_is_said_names_found_and_required():
    counted = tally([0.5, 1.5, -0.25])
    (found,) = [one for one in judge(counted, PredictionContractSpec(), "binary") if not one.passed]
    assert found.detail == "scores reach -0.25 and 1.5; required 0 to 1"
    (found,) = [one for one in judge(tally([0.5] * 3 + [NAN]), PredictionContractSpec(), "binary") if not one.passed]
    assert found.detail == "1 of 4 rows are no numbers; required at most 0.0%"
    assert (found.failed, found.total) == (1, 4)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.25, NAN, math.inf]), max_size=20), st.integers(1, 6))
def test_counts_in_parts_are_those_of_the_whole(scores: list[float], wanted: int):
    finite = [score for score in scores if math.isfinite(score)]
    found = broken(tally(scores, wanted=wanted))
    assert (FINITE in found) == (len(finite) < len(scores))
    assert (BOUNDS in found) == any(score > 1 for score in finite)
    assert (DISTINCT in found) == (bool(finite) and len(set(finite)) < wanted)
    mean = tally(scores).mean
    assert mean == (pytest.approx(sum(finite) / len(finite)) if finite else None)
