import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from mlops_assets.lake.windows import Window
from mlops_assets.monitoring.reference import Reference, build_reference, past_windows
from mlops_assets.predictor.outputs import PREDICTED_CLASS, SCORE
from mlops_assets.stats.profile import profile

START = datetime(2024, 1, 7, tzinfo=UTC)
WINDOWS = [Window(f"w{i}", START + timedelta(weeks=i), START + timedelta(weeks=i + 1)) for i in range(4)]


def training(rows=400, weeks=3.2):
    """Rows evenly over a little more than three weeks, so that the fourth window is a cut one."""
    at = [START + timedelta(weeks=weeks * i / rows) for i in range(rows)]
    x = np.random.default_rng(0).normal(size=rows)
    return pa.table({"prediction_time": pa.array(at, pa.timestamp("us", "UTC")), "x": x})


def build(table):
    outputs = {SCORE: pa.array(np.linspace(0, 1, table.num_rows))}
    return build_reference(table, outputs, {"x": "numeric"}, windows=WINDOWS)


def test_every_whole_training_window_is_counted_with_its_scores():
    table = training()
    reference = build(table)
    assert list(reference.windows) == ["w0", "w1", "w2"]
    assert [part.rows for part in reference.windows.values()] == [125, 125, 125]
    week = table.slice(125, 125).append_column(SCORE, pa.array(np.linspace(0, 1, 400)[125:250]))
    assert reference.windows["w1"] == profile(week, reference.grid)


def test_predicted_classes_are_counted_as_a_category_and_probabilities_are_not():
    outputs = {SCORE: pa.array(np.ones(400)), PREDICTED_CLASS: pa.array(["web", "app"] * 200), "probabilities": None}
    reference = build_reference(training(), outputs, {"x": "numeric"}, windows=WINDOWS)
    assert reference.grid.categorical == {PREDICTED_CLASS: ("app", "web")}
    assert set(reference.grid.numeric) == {"x", SCORE}
    assert sum(reference.windows["w1"].categorical[PREDICTED_CLASS].counts) == 125


def test_a_reference_survives_json():
    reference = build(training())
    assert Reference.from_dict(json.loads(reference.to_json())) == reference
    assert reference.grid.id == Reference.from_dict(json.loads(reference.to_json())).grid.id


def test_training_without_rows_in_any_window_has_no_past():
    assert build(training(0)).windows == {}


def test_the_past_is_earlier_on_the_same_bins_and_not_held():
    reference = build(training())
    rows = training(50).append_column(SCORE, pa.array(np.zeros(50)))
    scored, foreign = profile(rows, reference.grid), profile(rows, build(training(30)).grid)
    stored = {"w2": scored, "w3": scored, "w4": foreign, "w5": scored, "w6": scored}
    past = past_windows(reference, stored, before="w6", held={"w0", "w5"})
    assert [key for key, _ in past] == ["w1", "w2", "w3"]
    assert dict(past)["w2"] is scored
