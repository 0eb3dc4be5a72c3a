"""The gate on plain vectors: ties lose, few blocks lose, better never turns to worse."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mlops_assets.evaluation.gate import judge
from mlops_assets.evaluation.rows import TestRows
from mlops_assets.evaluation.spec import GateSpec, WrongMetric
from mlops_assets.evaluation.verdict import Approved, Rejected, from_json, to_json
from mlops_assets.predictor.signature import Task

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def _rows(*, days=28, per_day=20, skill=1.0, champion_skill=None, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, days * per_day).astype(float)
    noise = rng.normal(size=len(y))

    def scores(strength):
        return 1 / (1 + np.exp(-(strength * (2 * y - 1) + noise)))

    champion = None if champion_skill is None else scores(champion_skill)
    return TestRows(y, scores(skill), champion, None, np.full(len(y), 0.5), np.repeat(np.arange(days), per_day))


def _judge(rows, task: Task = "binary", **gate: Any):
    gate = {"replicates": 200, **gate}
    return judge("c1", rows, candidate_sha256="ab", spec=GateSpec(**gate), task=task, seed=0, now=NOW)


def _criterion(verdict, name) -> Any:
    return next(criterion for criterion in verdict.criteria if criterion.name == name)


def test_the_first_model_is_judged_without_a_champion_and_says_so():
    verdict = _judge(_rows())
    assert isinstance(verdict, Approved)
    assert [criterion.name for criterion in verdict.criteria] == ["baseline"]
    assert verdict.notes == ("first model: there is no champion to compare with",)
    assert (verdict.candidate_id, verdict.candidate_sha256, verdict.evaluated_at) == ("c1", "ab", NOW)


def test_a_better_candidate_is_approved_with_its_interval():
    rows = _rows(skill=1.5, champion_skill=0.8)
    verdict = _judge(rows)
    champion = _criterion(verdict, "champion")
    assert isinstance(verdict, Approved)
    expected = roc_auc_score(rows.y, rows.candidate) - roc_auc_score(rows.y, rows.champion)
    assert champion.observed == pytest.approx(expected)
    assert 0 < champion.low < expected < champion.high
    assert "over 28 blocks (day); required a lower end > 0" in champion.reason


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "log_loss"])
def test_a_tie_does_not_promote(metric):
    rows = _rows()
    verdict = _judge(replace(rows, champion=rows.candidate.copy()), metric=metric)
    assert isinstance(verdict, Rejected)
    assert (_criterion(verdict, "champion").observed, _criterion(verdict, "champion").passed) == (0.0, False)
    assert len(verdict.reasons) == 1
    assert verdict.reasons[0].startswith(f"champion: {metric} is better by 0 ")


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "log_loss"])
def test_a_worse_candidate_is_rejected(metric):
    assert isinstance(_judge(_rows(skill=0.8, champion_skill=1.5), metric=metric), Rejected)


def test_a_candidate_without_skill_does_not_beat_the_baseline():
    verdict = _judge(_rows(skill=0.0))
    assert not _criterion(verdict, "baseline").passed
    assert isinstance(verdict, Rejected)


def test_the_margin_over_the_baseline_counts():
    found = _criterion(_judge(_rows()), "baseline")
    assert isinstance(_judge(_rows(), baseline_margin=found.low - 1e-6), Approved)
    assert isinstance(_judge(_rows(), baseline_margin=found.low), Rejected)


def test_the_floor_is_reached_by_the_worse_end_of_the_interval():
    rows = _rows()
    found = _criterion(_judge(rows, floor=0.5), "floor")
    assert found.observed == pytest.approx(roc_auc_score(rows.y, rows.candidate))
    assert found.low < found.observed < found.high
    assert isinstance(_judge(rows, floor=found.low), Approved)
    missed = _judge(rows, floor=found.low + 1e-9)
    assert isinstance(missed, Rejected)
    assert missed.reasons[0].startswith("floor: roc_auc is 0.9")
    assert "over 28 blocks (day); required a lower end >= 0.8996" in missed.reasons[0]


def test_for_a_loss_the_floor_is_an_upper_bound_and_smaller_is_better():
    rng = np.random.default_rng(0)
    y = rng.normal(size=400)
    rows = TestRows(y, y + 0.1, y + 0.5, None, np.zeros(400), np.repeat(np.arange(20), 20))
    assert isinstance(_judge(rows, "regression", floor=0.11), Approved)
    assert not _criterion(_judge(rows, "regression", floor=0.09), "floor").passed
    swapped = replace(rows, candidate=rows.champion, champion=rows.candidate)
    champion = _criterion(_judge(swapped, "regression"), "champion")
    assert champion.observed == pytest.approx(-0.4)
    assert not champion.passed


@pytest.mark.parametrize(("days", "approved"), [(9, False), (10, True)])
def test_fewer_than_ten_blocks_say_nothing(days, approved):
    verdict = _judge(_rows(days=days, per_day=100, skill=3))
    assert isinstance(verdict, Approved) == approved
    if not approved:
        assert verdict.reasons == ("baseline: 9 blocks (day) to compare on; required at least 10",)


def test_the_champion_is_compared_only_on_rows_it_has_not_seen():
    rows = _rows(skill=1.2, champion_skill=0.8)
    seen = rows.blocks < 14
    memorised = np.where(seen, rows.y, np.asarray(rows.champion))
    assert isinstance(_judge(replace(rows, champion=memorised)), Rejected)
    verdict = _judge(replace(rows, champion=memorised, champion_unseen=~seen))
    assert isinstance(verdict, Approved)
    assert "over 14 blocks" in _criterion(verdict, "champion").reason


def test_a_champion_that_has_seen_nearly_everything_cannot_be_compared_with():
    rows = _rows(skill=1.5, champion_skill=0.5)
    verdict = _judge(replace(rows, champion_unseen=rows.blocks >= 20))
    assert verdict.reasons == ("champion: 8 blocks (day) to compare on; required at least 10",)


def test_test_rows_of_one_class_reject_rather_than_fail():
    rows = replace(_rows(), y=np.ones(560))
    verdict = _judge(rows, floor=0.6)
    assert isinstance(verdict, Rejected)
    assert _criterion(verdict, "floor").observed is None
    assert not _criterion(verdict, "baseline").passed


@settings(max_examples=60, deadline=None)
@given(data=st.data(), metric=st.sampled_from(["roc_auc", "average_precision", "log_loss"]))
def test_a_better_candidate_never_turns_approval_into_rejection(data, metric):
    seed, skill = data.draw(st.integers(0, 1000)), data.draw(st.floats(0.2, 0.8))
    rows = _rows(days=15, per_day=8, skill=skill, champion_skill=0.3, seed=seed)
    moved = np.random.default_rng(seed + 1).random(len(rows.y)) * data.draw(st.floats(0.0, 1.0))
    towards_label = rows.candidate + moved * (rows.y - rows.candidate)
    gate: dict[str, Any] = {"metric": metric, "floor": 0.6 if metric != "log_loss" else 0.7}
    before, after = _judge(rows, **gate), _judge(replace(rows, candidate=towards_label), **gate)
    assert not (isinstance(before, Approved) and isinstance(after, Rejected))
    for earlier, later in zip(before.criteria, after.criteria, strict=True):
        assert later.passed >= earlier.passed


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_better_regression_never_turns_approval_into_rejection(seed):
    rng = np.random.default_rng(seed)
    y, blocks = rng.normal(size=240), np.repeat(np.arange(20), 12)
    rows = TestRows(y, y + 0.9 * rng.normal(size=240), y + rng.normal(size=240), None, np.zeros(240), blocks)
    closer = rows.candidate + rng.random(240) * (y - rows.candidate)
    before, after = _judge(rows, "regression"), _judge(replace(rows, candidate=closer), "regression")
    assert not (isinstance(before, Approved) and isinstance(after, Rejected))


def test_the_same_seed_gives_the_same_verdict():
    rows = _rows(skill=0.9, champion_skill=0.8)
    assert _judge(rows) == _judge(rows)


def test_the_default_metric_follows_the_task():
    assert GateSpec().metric_for("binary") == "roc_auc"
    assert GateSpec().metric_for("regression") == "rmse"
    with pytest.raises(WrongMetric, match=r"found 'rmse'; required one of roc_auc"):
        GateSpec(metric="rmse").metric_for("binary")


def _full(task: Task):
    """Return rows of a task with a much worse champion, and a gate that asks everything of them."""
    rng = np.random.default_rng(3)
    count = 1200
    group = {"store": rng.choice(["a", "b"], count)}
    blocks = np.repeat(np.arange(20), 60)
    gate: dict[str, Any] = {"slices": [{"by": "store", "max_gap": 0.5}]}
    if task == "multiclass":
        y = rng.integers(0, 3, count).astype(float)
        good, bad = (rng.random((count, 3)) + skill * np.eye(3)[y.astype(int)] for skill in (2.0, 0.2))
        good, bad = (scores / scores.sum(axis=1, keepdims=True) for scores in (good, bad))
        gate |= {"floors": {"accuracy": 0.6}, "non_inferior": {"f1_macro": 0.01}, "calibration_error": 0.5, "floor": 1}
        return TestRows(y, good, bad, None, np.full((count, 3), 1 / 3), blocks, group), gate
    if task == "regression":
        y = rng.normal(size=count)
        good, bad = (y + noise * rng.normal(size=count) for noise in (0.3, 2.0))
        gate |= {"floors": {"mae": 0.5}, "non_inferior": {"mae": 0.01}, "floor": 0.5}
        return TestRows(y, good, bad, None, np.zeros(count), blocks, group), gate
    y = rng.integers(0, 2, count).astype(float)
    good, bad = (1 / (1 + np.exp(-skill * (2 * y - 1) - rng.normal(size=count))) for skill in (1.5, 0.2))
    fair = {"by": "store", "demographic_parity_difference": 0.2, "equalized_odds_difference": 0.2}
    gate |= {"floors": {"log_loss": 0.6}, "non_inferior": {"brier": 0.01}, "calibration_error": 0.3, "floor": 0.7}
    return TestRows(y, good, bad, None, np.full(count, 0.5), blocks, group), gate | {"fairness": [fair]}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_criterion_has_numbers_and_survives_storage(task: Task):
    rows, gate = _full(task)
    verdict = _judge(rows, task, **gate)
    asked = {criterion.name for criterion in verdict.criteria}
    assert isinstance(verdict, Approved), verdict.reasons
    assert {"floor", "baseline", "champion", "slices_store"} <= asked
    assert len(asked) == {"binary": 9, "multiclass": 7, "regression": 6}[task]
    for criterion in verdict.criteria:
        assert criterion.low <= criterion.observed <= criterion.high
    assert from_json(to_json(verdict)) == verdict


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_clearly_worse_candidate_is_told_where_it_lost(task: Task):
    rows, _ = _full(task)
    assert rows.champion is not None
    verdict = _judge(replace(rows, candidate=rows.champion, champion=rows.candidate), task)
    champion = _criterion(verdict, "champion")
    assert not champion.passed
    assert champion.high < 0
    assert "It is shown not to be; it is worse in 20 of 20 blocks, most in " in champion.reason


def test_the_blocks_where_it_lost_most_are_those_of_brute_force():
    rows = _rows(skill=1.0, champion_skill=1.1)
    assert rows.champion is not None
    lost = {
        day: roc_auc_score(rows.y[rows.blocks == day], rows.candidate[rows.blocks == day])
        - roc_auc_score(rows.y[rows.blocks == day], rows.champion[rows.blocks == day])
        for day in range(28)
    }
    worst = sorted(lost, key=lambda day: lost[day])[:3]
    reason = _criterion(_judge(rows), "champion").reason
    assert f"it is worse in {sum(value < 0 for value in lost.values())} of 28 blocks" in reason
    assert reason.endswith("most in " + ", ".join(f"{day} ({lost[day]:+.3g})" for day in worst))


def test_a_further_metric_may_be_a_little_worse_but_no_more():
    rows = _rows(skill=1.5, champion_skill=0.8)
    found = _criterion(_judge(rows, non_inferior={"log_loss": 9.0}), "non_inferior_log_loss")
    assert (found.passed, found.threshold) == (True, -9.0)
    overconfident = np.where(rows.candidate > 0.5, 0.5 + 0.4999 * (rows.candidate > 0.5), rows.candidate * 1e-4)
    verdict = _judge(replace(rows, candidate=overconfident), non_inferior={"log_loss": 0.01})
    worse = _criterion(verdict, "non_inferior_log_loss")
    assert not worse.passed
    assert "required a lower end > -0.01" in worse.reason
