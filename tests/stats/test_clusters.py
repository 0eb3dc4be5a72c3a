"""The design effect against the cluster-robust variance of another library."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.api import OLS

from mlops_assets.stats.clusters import counted_by, design_effect


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=8), min_size=2, max_size=20))
def test_it_is_the_cluster_robust_variance_by_the_binomial_one(clusters):
    is_hit = np.array([one for cluster in clusters for one in cluster])
    place = np.repeat(np.arange(len(clusters)), [len(cluster) for cluster in clusters])
    share, total = is_hit.mean(), len(is_hit)
    assume(0 < share < 1 and total > len(clusters))
    fitted = OLS(is_hit.astype(float), np.ones(total)).fit(cov_type="cluster", cov_kwds={"groups": place})
    expected = fitted.cov_params()[0, 0] / (share * (1 - share) / total)
    assert design_effect(*counted_by(place, is_hit)) == pytest.approx(max(expected, 1))


def test_clusters_of_one_and_shares_of_nothing_or_all_are_as_they_are_and_one_cluster_is_one():
    ones, five = np.ones(5, int), np.full(5, 4)
    assert design_effect(np.array([1, 0, 0, 1, 0]), ones) == 1
    assert [design_effect(hits * five, five) for hits in (0, 1)] == [1, 1]
    assert design_effect(np.array([3]), np.array([40])) == 40
    assert design_effect(np.array([], int), np.array([], int)) == 1
