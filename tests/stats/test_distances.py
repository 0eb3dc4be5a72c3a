import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance

from mlops_assets.stats.distances import jensen_shannon, kolmogorov_smirnov, psi, wasserstein

COUNTS = arrays(np.int64, 12, elements=st.integers(0, 10_000)).filter(lambda counts: counts.sum() > 0)


def test_psi_equals_the_closed_form():
    assert psi(np.array([50, 50]), np.array([40, 60])) == pytest.approx(0.1 * np.log(1.5))


@pytest.mark.parametrize("fewest", [1, 40], ids=["tiny share next to empty bins", "empty bins only"])
def test_psi_equals_evidently_on_identical_bins(fewest):
    from evidently.legacy.calculations.stattests.psi import psi_stat_test
    from evidently.legacy.core import ColumnType
    from pandas import Series

    reference, current = np.array([9_000, 12_000, 0, fewest, 700]), np.array([8_000, 9_000, 300, 500, 0])
    columns = [Series(np.repeat(np.arange(5), counts)) for counts in (reference, current)]
    expected, _ = psi_stat_test.func(*columns, ColumnType.Categorical, 0.1)
    assert psi(reference, current) == pytest.approx(expected, abs=1e-12)


@given(COUNTS)
def test_a_histogram_is_at_no_distance_from_itself_at_any_size(counts):
    other = 3 * counts
    assert psi(counts, counts) == 0
    assert kolmogorov_smirnov(counts, other) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(counts, other) == pytest.approx(0, abs=1e-7)
    assert wasserstein(counts, other, np.arange(12.0)) == pytest.approx(0, abs=1e-9)


@given(COUNTS, COUNTS)
def test_distances_are_symmetric_and_bounded(left, right):
    assert psi(left, right) == pytest.approx(psi(right, left))
    assert psi(left, right) >= 0
    assert 0 <= kolmogorov_smirnov(left, right) <= 1 + 1e-12
    assert jensen_shannon(left, right) <= np.sqrt(np.log(2)) + 1e-12


@given(COUNTS, COUNTS)
def test_jensen_shannon_and_wasserstein_equal_scipy(left, right):
    positions = np.cumsum(np.arange(1.0, 13.0))
    assert jensen_shannon(left, right) == pytest.approx(jensenshannon(left, right), abs=1e-7)
    expected = wasserstein_distance(positions, positions, left, right)
    assert wasserstein(left, right, positions) == pytest.approx(expected)


@given(COUNTS, COUNTS)
def test_kolmogorov_smirnov_equals_scipy_on_discrete_samples(left, right):
    samples = [np.repeat(np.arange(12), counts // 20 + 1) for counts in (left, right)]
    counts = [np.bincount(sample, minlength=12) for sample in samples]
    assert kolmogorov_smirnov(*counts) == pytest.approx(ks_2samp(*samples, method="asymp").statistic)


def test_a_matrix_of_windows_gives_the_same_numbers_as_one_at_a_time():
    rng = np.random.default_rng(0)
    reference, current = rng.integers(0, 50, (6, 10)), rng.integers(0, 50, (6, 10))
    for distance in (psi, kolmogorov_smirnov, jensen_shannon):
        one_by_one = [distance(a, b) for a, b in zip(reference, current, strict=True)]
        np.testing.assert_allclose(distance(reference, current), one_by_one)
