"""The refit must resemble the candidate."""

import numpy as np
import pytest

from mlops_assets.evaluation.sanity import refit_mean, refit_metric


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


@pytest.mark.parametrize(("shift", "passed"), [(0.24, True), (0.26, False)])
def test_of_several_classes_none_may_move_further(shift, passed):
    scores = np.repeat(np.eye(3)[[0, 1]], 50, axis=0)  # standard deviations 0.5, 0.5 and 0; all rows sum to one
    moved = scores + np.array([shift, -shift, 0.0])
    assert refit_mean(scores, moved).passed == passed
