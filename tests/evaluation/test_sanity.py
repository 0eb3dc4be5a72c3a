"""The refit must resemble the candidate, and the file the object in memory."""

from dataclasses import replace

import numpy as np
import pytest

from mlops_assets.evaluation.sanity import edge_rows, refit_mean, refit_metric, serving_equality
from mlops_assets.predictor.artifact import load


@pytest.fixture(scope="module")
def loaded(candidate):
    return load(candidate[0].artifact_uri("candidate"))


class Nudged:
    """A pipeline whose scores are a little off."""

    def __init__(self, pipeline, by):
        self.pipeline, self.by = pipeline, by

    def predict_proba(self, frame):
        return self.pipeline.predict_proba(frame).astype(float) + self.by


def test_the_saved_model_equals_the_object(table, candidate, loaded):
    found = serving_equality(candidate[1].pipeline, loaded, table)
    assert (found.passed, found.observed) == (True, 0.0)


@pytest.mark.parametrize(("by", "passed"), [(0.9e-6, True), (1.1e-6, False)])
def test_a_difference_above_the_tolerance_blocks(table, candidate, loaded, by, passed):
    found = serving_equality(Nudged(candidate[1].pipeline, by), loaded, table)
    assert "0 decisions flipped" in found.reason
    assert found.passed == passed
    assert found.observed == pytest.approx(by, rel=0.01)


def test_a_flipped_decision_blocks_however_small_the_difference(table, candidate, loaded):
    class AtTheEdge(Nudged):
        def predict_proba(self, frame):
            return np.full((len(frame), 2), 0.5 + self.by)

    ours, served = AtTheEdge(None, 1e-9), replace(loaded, pipeline=AtTheEdge(None, -1e-9))
    found = serving_equality(ours, served, table)
    assert found.observed == pytest.approx(2e-9)
    assert not found.passed


def test_a_model_that_differs_only_on_unknown_categories_is_caught(table, candidate, loaded):
    class OnEdges(Nudged):
        def predict_proba(self, frame):
            return self.pipeline.predict_proba(frame) + 0.1 * (frame[["colour"]].to_numpy() == "never seen")

    assert not serving_equality(OnEdges(candidate[1].pipeline, 0), loaded, table).passed


def test_edge_rows_change_one_feature_each(table, loaded):
    rows = edge_rows(table, loaded.manifest.signature).to_pylist()
    first = {name: table[name][0].as_py() for name in loaded.features}
    assert len(rows) == 6
    assert all(sum(row[name] != first[name] for name in first) <= 1 for row in rows)
    assert {row["colour"] for row in rows} >= {None, "", "never seen"}


def test_the_refit_may_not_be_worse_than_the_band():
    y = np.repeat([0.0, 1.0], 50)
    perfect, noisy = y.copy(), y.copy()
    noisy[[0, 1, 2, 99]] = [1, 1, 1, 0]
    assert refit_metric(y, noisy, perfect, metric="roc_auc").passed
    assert not refit_metric(y, perfect, noisy, metric="roc_auc").passed
    assert refit_metric(y, noisy, perfect, metric="mae").passed
    assert not refit_metric(y, perfect, noisy, metric="mae").passed
    assert refit_metric(y, noisy, noisy, metric="mae").passed


@pytest.mark.parametrize(("shift", "passed"), [(0.24, True), (-0.24, True), (0.26, False), (-0.26, False)])
def test_the_mean_score_may_move_half_a_standard_deviation(shift, passed):
    scores = np.repeat([0.0, 1.0], 50)  # standard deviation 0.5
    assert refit_mean(scores, scores + shift).passed == passed
