import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from mlops_assets.stats.distances import kolmogorov_smirnov
from mlops_assets.stats.grid import MAX_CATEGORIES, build_grid
from mlops_assets.stats.profile import GridMismatch, Profile, profile

KINDS = {"x": "numeric", "c": "categorical"}
ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(-5, 5), st.sampled_from([0.0, 1.0, float("nan"), float("inf")])),
        st.one_of(st.none(), st.sampled_from("abcz")),
    ),
    max_size=60,
)


def as_table(rows):
    columns = list(zip(*rows, strict=True)) or [(), ()]
    return pa.table({"x": pa.array(columns[0], pa.float64()), "c": pa.array(columns[1], pa.string())})


def training(rows=5_000, seed=0):
    rng = np.random.default_rng(seed)
    return pa.table({"x": np.round(rng.normal(size=rows), 2), "c": rng.choice(list("abc"), rows)})


@given(ROWS)
def test_counts_equal_counting_row_by_row(rows):
    grid = build_grid(training(), KINDS)
    counted = profile(as_table(rows), grid)
    finite = [x for x, _ in rows if x is not None and np.isfinite(x)]
    edges = [-np.inf, *grid.numeric["x"].edges, np.inf]
    between = [sum(low <= x < high for x in finite) for low, high in itertools.pairwise(edges)]
    assert list(counted.numeric["x"].counts) == between
    assert counted.numeric["x"].missing == len(rows) - len(finite)
    assert (counted.numeric["x"].low, counted.numeric["x"].high) == (
        min(finite, default=None),
        max(finite, default=None),
    )
    categories = [c for _, c in rows]
    assert list(counted.categorical["c"].counts) == [categories.count(c) for c in grid.categorical["c"]]
    assert counted.categorical["c"].other == categories.count("z")
    assert counted.categorical["c"].missing == categories.count(None)


@settings(max_examples=40)
@given(ROWS, ROWS)
def test_profiles_add_up(first, second):
    grid = build_grid(training(), KINDS)
    together = profile(as_table(first + second), grid)
    parts = profile(as_table(first), grid) + profile(as_table(second), grid)
    assert parts.rows == together.rows
    assert parts.categorical == together.categorical
    assert parts.numeric["x"].counts == together.numeric["x"].counts
    assert (parts.numeric["x"].low, parts.numeric["x"].high) == (together.numeric["x"].low, together.numeric["x"].high)
    assert parts.numeric["x"].squares == pytest.approx(together.numeric["x"].squares)


def test_a_profile_survives_json_and_keeps_its_identity_in_any_order_of_rows():
    table = training()
    grid = build_grid(table, KINDS)
    counted = profile(table, grid)
    shuffled = profile(table.take(np.random.default_rng(1).permutation(table.num_rows)), grid)
    assert Profile.from_json(counted.to_json()) == counted
    assert shuffled.id == counted.id
    assert profile(training(seed=2), grid).id != counted.id


def test_profiles_on_different_bins_do_not_add():
    left, right = (profile(table, build_grid(table, KINDS)) for table in (training(seed=1), training(seed=2)))
    with pytest.raises(GridMismatch, match=left.grid_id):
        _ = left + right


def test_a_year_of_weeks_is_kilobytes():
    table = pa.table({f"x{i}": np.random.default_rng(i).normal(size=6_000) for i in range(14)})
    grid = build_grid(table, dict.fromkeys(table.column_names, "numeric"))
    assert len(profile(table, grid).to_json()) < 10_000


def test_an_absent_column_is_missing_in_every_row():
    table = training(100)
    counted = profile(pa.table({"other": [1, 2, 3]}), build_grid(table, KINDS))
    assert (counted.numeric["x"].missing_share, counted.categorical["c"].missing_share) == (1, 1)


@pytest.mark.parametrize("column", [[None, None], [float("nan"), None]], ids=["null", "nan"])
def test_training_columns_without_values_give_a_grid_that_still_counts(column):
    grid = build_grid(pa.table({"x": pa.array(column, pa.float64()), "c": pa.nulls(2)}), KINDS)
    counted = profile(training(10), grid)
    assert sum(counted.numeric["x"].counts) == 10
    assert counted.categorical["c"].other == 10


def test_a_constant_column_shows_when_its_value_moves():
    grid = build_grid(pa.table({"x": [5.0] * 10}), {"x": "numeric"})
    at, above, below = (profile(pa.table({"x": [value] * 10}), grid).numeric["x"].counts for value in (5.0, 6.0, 4.0))
    assert len({at, above, below}) == 3


def test_integers_booleans_dictionaries_and_text_are_counted():
    table = pa.table(
        {
            "x": pa.array([1, 2, None]),
            "flag": [True, False, True],
            "c": pa.array(["a", "b", "a"]).dictionary_encode(),
            "code": [7, 7, 8],
        }
    )
    grid = build_grid(table, {"x": "numeric", "flag": "numeric", "c": "categorical", "code": "categorical"})
    counted = profile(table, grid)
    assert counted.numeric["x"].total == 3
    assert counted.numeric["flag"].total == 2
    assert (grid.categorical["c"], counted.categorical["c"].counts) == (("a", "b"), (2, 1))
    assert grid.categorical["code"] == ("7", "8")


def test_only_the_most_frequent_categories_are_listed():
    table = pa.table({"c": [str(i) for i in range(MAX_CATEGORIES + 50)] + ["often"] * 3})
    grid = build_grid(table, {"c": "categorical"})
    assert grid.categorical["c"][0] == "often"
    assert profile(table, grid).categorical["c"].other == 51


def test_psi_bins_hold_about_a_tenth_of_the_training_rows_each():
    table = pa.table({"x": np.random.default_rng(0).exponential(size=20_000)})
    grid = build_grid(table, {"x": "numeric"})
    edges = np.array(grid.numeric["x"].edges)[list(grid.numeric["x"].coarse)]
    np.testing.assert_allclose(np.histogram(table["x"], [-np.inf, *edges, np.inf])[0] / 20_000, 0.1, atol=1e-3)


def test_the_statistic_from_bins_is_within_one_bin_of_the_exact_one():
    rng = np.random.default_rng(0)
    reference, current = rng.normal(size=50_000), rng.normal(0.05, 1.05, size=20_000)
    grid = build_grid(pa.table({"x": reference}), {"x": "numeric"})
    binned = [np.array(profile(pa.table({"x": x}), grid).numeric["x"].counts) for x in (reference, current)]
    exact = ks_2samp(reference, current).statistic
    assert exact - 1 / 120 <= kolmogorov_smirnov(*binned) <= exact + 1e-12
