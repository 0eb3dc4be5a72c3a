from dataclasses import replace
from io import BytesIO

import numpy as np
from matplotlib.image import imread

from mlops_assets.monitoring.channel import FeatureDrift
from mlops_assets.monitoring.drift import DriftReport
from mlops_assets.monitoring.picture import drift_chart, drift_table

QUIET = FeatureDrift(
    name="quiet",
    psi=0.01,
    ks=0.02,
    wasserstein=0.1,
    jensen_shannon=0.05,
    missing_share=0.125,
    missing_jump=0.0,
    new_category_share=0.0,
    shift=0.1,
    spread=0.1,
    limit=0.04,
    z=0.3,
    ratio=0.5,
    exceeded=False,
    faults=(),
    exogenous=False,
)


def report(window, *features):
    return DriftReport(window, "ok", 100, baseline=(), history=8, features=features, score=None)


def test_the_table_has_a_line_per_feature_and_says_what_is_wrong():
    broken = replace(QUIET, name="broken", faults=("scale",))
    drifted = replace(QUIET, name="drifted", psi=0.5, exceeded=True)
    weather = replace(drifted, name="weather", exogenous=True, ks=None, limit=None)
    lines = drift_table(report("w", broken, drifted, weather, QUIET)).splitlines()[2:]
    assert lines == [
        "| broken | 0.010 | 0.040 | 0.020 | 12.5% | 0.00% | scale |",
        "| drifted | 0.500 | 0.040 | 0.020 | 12.5% | 0.00% | above its limit |",
        "| weather | 0.500 |  |  | 12.5% | 0.00% | above its limit (exogenous) |",
        "| quiet | 0.010 | 0.040 | 0.020 | 12.5% | 0.00% |  |",
    ]


def test_the_chart_is_a_small_picture_in_which_drift_is_seen():
    calm = [report(f"2024-01-{day:02d}", QUIET) for day in range(1, 27)]
    alarm = [*calm[:-1], report("2024-01-26", replace(QUIET, psi=5.0))]
    pictures = [drift_chart(reports) for reports in (calm, alarm)]
    assert max(map(len, pictures)) < 100_000
    pixels = [imread(BytesIO(picture)) for picture in pictures]
    assert np.abs(pixels[0] - pixels[1]).max() > 0.3


def test_windows_without_a_limit_and_without_features_can_be_drawn():
    assert drift_chart([report("w1"), report("w2", replace(QUIET, limit=None))]).startswith(b"\x89PNG")
    assert drift_chart([report("w1")]).startswith(b"\x89PNG")
