from dataclasses import replace

import pytest

from mlops_assets.monitoring.channel import FeatureDrift
from mlops_assets.monitoring.drift import DriftReport
from mlops_assets.monitoring.spec import MonitoringSpec
from mlops_assets.retraining.triage import Hold, Investigate, Retrain, triage

CALM = FeatureDrift(
    name="x",
    psi=0.01,
    ks=0.01,
    wasserstein=0.0,
    jensen_shannon=0.0,
    missing_share=0.0,
    missing_jump=0.0,
    new_category_share=0.0,
    shift=0.0,
    spread=0.0,
    limit=0.1,
    z=0.0,
    ratio=0.5,
    exceeded=False,
    faults=(),
    exogenous=False,
)
DRIFT = replace(CALM, psi=0.2, ratio=2.0, exceeded=True)
SUDDEN = replace(DRIFT, psi=0.9, ratio=3.5)
MISSING = replace(CALM, missing_share=0.3, missing_jump=0.25, faults=("missing values",))
NEW = replace(CALM, name="c", new_category_share=0.02, faults=("new categories",))
UNIT = replace(DRIFT, spread=0.476, faults=("scale",))


def report(*features, window="w3", state="ok", score=None):
    return DriftReport(window, state, 1_000, baseline=("w0",), history=9, features=features, score=score)


def decide(*features, recent=(), **fields):
    return triage(report(*features, **fields), recent, spec=MonitoringSpec())


@pytest.mark.parametrize(
    ("feature", "says"),
    [
        (MISSING, "x: missing in 30.0% of rows, +25.0% on the baseline"),
        (NEW, "c: 2.00% of rows are in categories never seen"),
        (UNIT, "spread by a factor of 1.61"),
        (SUDDEN, "3.5 times the largest before"),
    ],
    ids=["missing", "new category", "unit", "sudden"],
)
def test_what_looks_like_a_fault_is_investigated_even_when_it_lasts(feature, says):
    decision = decide(CALM, feature, recent=[report(DRIFT, window="w1"), report(DRIFT, window="w2")])
    assert isinstance(decision, Investigate)
    assert says in decision.reasons[0]


@pytest.mark.parametrize("before", [(CALM, DRIFT), (DRIFT, CALM)], ids=["last", "last but one"])
def test_two_of_three_windows_retrain(before):
    decision = decide(DRIFT, recent=[report(first, window=f"w{i}") for i, first in enumerate(before, 1)])
    assert isinstance(decision, Retrain)
    assert "x: PSI 0.200 is above its own limit 0.100" in decision.reasons


@pytest.mark.parametrize(
    "recent",
    [[], [CALM, CALM], [DRIFT, CALM, CALM], [replace(DRIFT, exogenous=True)] * 2],
    ids=["first window", "calm before", "long ago", "exogenous before"],
)
def test_one_window_alone_holds(recent):
    assert isinstance(decide(DRIFT, recent=[report(feature) for feature in recent]), Hold)


def test_a_calm_window_holds_whatever_came_before():
    assert isinstance(decide(CALM, recent=[report(DRIFT), report(DRIFT)]), Hold)


@pytest.mark.parametrize("feature", [MISSING, NEW, UNIT, SUDDEN, DRIFT])
def test_exogenous_features_only_inform(feature):
    weather = replace(feature, exogenous=True)
    decision = decide(weather, recent=[report(weather), report(weather)])
    assert isinstance(decision, Hold)
    assert f"only exogenous features left their history ({feature.name})" in decision.reasons[0]


def test_scores_may_retrain_and_are_never_sudden():
    score = replace(SUDDEN, name="score")
    assert isinstance(decide(CALM, score=score), Hold)
    assert isinstance(decide(CALM, score=score, recent=[report(DRIFT)]), Retrain)


def test_an_insufficient_window_holds_and_says_what_is_missing():
    decision = decide(state="insufficient")
    assert isinstance(decision, Hold)
    assert "1000 rows and 9 earlier distances" in decision.reasons[0]
