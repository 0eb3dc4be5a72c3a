"""Weeks drawn from one distribution, with one thing changed: the rule must see that, and nothing else."""

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.monitoring.drift import GAP, MIN_BASELINE, DriftReport, assess
from mlops_assets.monitoring.spec import MonitoringSpec
from mlops_assets.predictor.outputs import PREDICTED_CLASS, SCORE
from mlops_assets.stats.distances import psi
from mlops_assets.stats.grid import build_grid
from mlops_assets.stats.profile import GridMismatch, profile

KINDS = {"x": "numeric", "wind": "numeric", "c": "categorical", SCORE: "numeric", PREDICTED_CLASS: "categorical"}
SPEC = MonitoringSpec()
READY = MIN_BASELINE + GAP + SPEC.min_history + GAP


def week(seed, rows=2_000, **changes):
    rng = np.random.default_rng(seed)
    columns = {
        "x": rng.normal(10, 2, rows),
        "wind": rng.normal(rng.normal(0, 1), 1, rows),  # the mean of a week is weather
        "c": rng.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2]).astype(object),
        SCORE: rng.beta(2, 5, rows),
        PREDICTED_CLASS: rng.choice(["app", "web"], rows, p=[0.6, 0.4]).astype(object),
    }
    return pa.table({name: changes.get(name, lambda values: values)(values) for name, values in columns.items()})


@cache
def grid():
    return build_grid(pa.concat_tables([week(seed) for seed in range(10)]), KINDS)


@cache
def past(windows=20):
    return tuple((f"w{i:02d}", profile(week(100 + i), grid())) for i in range(windows))


def judge(table, *, earlier=None, exogenous=frozenset({"wind"}), spec=SPEC):
    history = past() if earlier is None else earlier
    return assess("w99", profile(table, grid()), history, grid=grid(), spec=spec, exogenous=exogenous)


def part(share, value, seed=0):
    """Replace that share of the values."""

    def change(values):
        return np.where(np.random.default_rng(seed).random(len(values)) < share, value, values)

    return change


def named(report, name):
    return next(channel for channel in report.channels if channel.name == name)


@pytest.mark.parametrize("seed", range(12))
def test_a_week_like_the_others_is_ok(seed):
    report = judge(week(500 + seed))
    assert report.state == "ok"
    assert not any(channel.alarms for channel in report.channels)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("x", lambda x: x + 0.5),
        ("x", lambda x: x * 1.1),
        ("c", part(0.2, "a")),
        (SCORE, lambda score: score * 1.2),
        (PREDICTED_CLASS, part(0.2, "web")),
    ],
    ids=["quarter of a deviation", "tenth", "mix", "score", "predicted class"],
)
def test_a_change_beyond_the_history_alarms_and_names_the_feature(name, change):
    report = judge(week(1, **{name: change}))
    assert report.state == "alarm"
    assert [channel.name for channel in report.channels if channel.alarms] == [name]
    assert named(report, name).psi > named(report, name).limit


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("x", lambda x: x * 1.609344, "scale"),
        ("x", lambda x: x / 60, "scale"),
        ("x", lambda x: x + 273.15, "scale"),
        ("x", lambda x: (x - 10) / 2 + 10, "scale"),
        ("x", part(0.1, np.nan), "missing values"),
        ("x", lambda x: np.full(len(x), np.nan), "missing values"),
        ("c", part(0.02, "never seen"), "new categories"),
        ("c", part(0.1, None), "missing values"),
    ],
    ids=["kilometres", "hours", "kelvin", "half as wide", "holes", "all missing", "new category", "no category"],
)
def test_the_look_of_a_broken_pipeline_is_a_fault(name, change, fault):
    report = judge(week(1, **{name: change}))
    assert report.state == "alarm"
    assert named(report, name).faults == (fault,)


def test_a_unit_shows_in_a_feature_that_wanders_so_far_that_psi_is_no_news():
    """Every week has its own level, so that weeks hardly overlap; PSI is at its ceiling in every one of them."""

    def wander(seed):
        return week(seed, x=lambda x: (x - 10) / 20 + np.random.default_rng(seed).normal(10, 3))

    weeks = [wander(700 + seed) for seed in range(20)]
    bins = build_grid(pa.concat_tables(weeks), KINDS)
    history = [(f"w{i:02d}", profile(table, bins)) for i, table in enumerate(weeks)]
    as_usual, in_hours = wander(720), week(720, x=lambda x: ((x - 10) / 20 + 10) * 60)
    reports = [
        assess("w99", profile(table, bins), history, grid=bins, spec=SPEC, exogenous=frozenset({"wind"}))
        for table in (as_usual, in_hours)
    ]
    assert named(reports[0], "x").faults == ()
    assert named(reports[1], "x").faults == ("scale",)


def test_holes_that_were_always_there_are_no_fault():
    earlier = [
        (key, profile(week(100 + i, x=part(0.3 * (i % 2), np.nan)), grid())) for i, (key, _) in enumerate(past())
    ]
    report = judge(week(1, x=part(0.3, np.nan)), earlier=earlier)
    assert named(report, "x").missing_share == pytest.approx(0.3, abs=0.05)
    assert named(report, "x").faults == ()


def test_exogenous_features_inform_and_never_alarm():
    storm = week(1, wind=lambda wind: wind * 10 + 30)
    report = judge(storm)
    assert report.state == "ok"
    assert named(report, "wind").faults == ("scale",)
    assert judge(storm, exogenous=frozenset()).state == "alarm"


def test_distances_of_the_present_window_equal_those_against_the_concatenated_baseline():
    """Independent of profiles and sums: the rows of the baseline windows counted together."""
    report = judge(week(1, x=lambda x: x + 0.5))
    assert report.baseline == tuple(f"w{i:02d}" for i in range(10, 18))
    baseline = pa.concat_tables([week(100 + i) for i in range(10, 18)])
    edges = np.array(grid().numeric["x"].edges)[list(grid().numeric["x"].coarse)]
    bins = [-np.inf, *edges, np.inf]
    counts = [np.histogram(table["x"], bins)[0] for table in (baseline, week(1, x=lambda x: x + 0.5))]
    assert named(report, "x").psi == pytest.approx(float(psi(*counts)), rel=1e-12)
    assert named(report, "x").shift == pytest.approx(
        (np.mean(week(1)["x"]) + 0.5 - np.mean(baseline["x"])) / np.std(baseline["x"]), rel=1e-9
    )


def test_a_lasting_change_still_stands_out_in_its_third_week():
    changed = [profile(week(seed, x=lambda x: x + 0.5), grid()) for seed in range(3)]
    keys = ["w20", "w21", "w22"]
    for i, (key, current) in enumerate(zip(keys, changed, strict=True)):
        earlier = [*past(), *zip(keys[:i], changed[:i], strict=True)]
        report = assess(key, current, earlier, grid=grid(), spec=SPEC, exogenous=frozenset({"wind"}))
        assert named(report, "x").exceeded, key


def test_the_new_normal_is_accepted_in_the_end():
    def new(seed):
        return profile(week(seed, x=lambda x: x + 0.5), grid())

    earlier = [*past(), *((f"x{i:02d}", new(i)) for i in range(SPEC.baseline_windows + GAP))]
    report = assess("x99", new(99), earlier, grid=grid(), spec=SPEC, exogenous=frozenset({"wind"}))
    assert not named(report, "x").exceeded


@pytest.mark.parametrize(
    ("windows", "state"),
    [(0, "insufficient"), (READY - 1, "insufficient"), (READY, "ok")],
    ids=["none", "few", "enough"],
)
def test_too_short_a_past_is_insufficient_and_not_ok(windows, state):
    report = judge(week(1), earlier=past()[:windows])
    assert report.state == state
    assert report.history == (SPEC.min_history if windows == READY else max(0, windows - READY + SPEC.min_history))


def test_a_fault_is_seen_before_the_history_is_complete():
    assert judge(week(1, x=part(0.3, np.nan)), earlier=past()[: READY - 3]).state == "alarm"


@pytest.mark.parametrize("rows", [0, 50, SPEC.min_rows - 1])
def test_too_few_rows_are_insufficient_whatever_they_hold(rows):
    report = judge(week(1, rows=rows, x=lambda x: x * 5))
    assert (report.state, report.features) == ("insufficient", ())


def test_a_window_without_scores_is_judged_on_its_features():
    report = judge(week(1).drop_columns([SCORE, PREDICTED_CLASS]))
    assert (report.state, report.score, report.predicted_class) == ("ok", None, None)


def test_what_the_model_says_stands_apart_from_what_it_is_told():
    report = judge(week(1))
    assert {channel.name for channel in report.features} == {"x", "wind", "c"}
    assert (report.score.name, report.predicted_class.name) == (SCORE, PREDICTED_CLASS)
    before = DriftReport.from_json(report.to_json().replace(b'"predicted_class":', b'"unknown_to_older_releases":'))
    assert before.predicted_class is None


def test_profiles_on_other_bins_are_refused():
    other = build_grid(week(1), KINDS)
    with pytest.raises(GridMismatch, match=other.id):
        assess("w99", profile(week(1), other), past(), grid=grid(), spec=SPEC, exogenous=frozenset())


def test_a_report_survives_json():
    report = judge(week(1, x=lambda x: x * 2, c=part(0.02, "never seen")))
    assert DriftReport.from_json(report.to_json()) == report


def test_small_changes_do_not_matter_however_steady_the_past():
    steady = [(f"w{i:02d}", profile(week(7, rows=40_000), grid())) for i in range(20)]
    assert judge(week(8, rows=40_000), earlier=steady).state == "ok"
    strict = judge(week(8, rows=40_000), earlier=steady, spec=MonitoringSpec(psi_floor=1e-9, ks_floor=0))
    assert strict.state == "alarm"


@settings(max_examples=25)
@given(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)), min_size=250, max_size=250),
    st.booleans(),
)
def test_no_content_of_a_column_is_an_exception(values, is_current):
    odd = profile(week(1, rows=250).set_column(0, "x", pa.array(values, pa.float64())), grid())
    earlier = past() if is_current else [(key, odd) for key, _ in past()]
    current = odd if is_current else profile(week(1), grid())
    report = assess("w99", current, earlier, grid=grid(), spec=SPEC, exogenous=frozenset())
    assert DriftReport.from_json(report.to_json()) == report
