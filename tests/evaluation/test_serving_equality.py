"""The saved model and each of its forms give the scores of the object in memory, or the gate says where they do not."""

from dataclasses import replace

import numpy as np
import pytest

from mlops_assets.evaluation.serving_equality import serving_equality
from mlops_assets.predictor.artifact import load


@pytest.fixture(scope="module")
def loaded(candidate):
    return load(candidate[0].artifact_uri("candidate"))


class Nudged:
    """A pipeline whose scores are a little off."""

    def __init__(self, pipeline, by):
        self.pipeline, self.by = pipeline, by

    def __getitem__(self, step):
        return self.pipeline[step]

    def predict_proba(self, frame):
        return self.pipeline.predict_proba(frame).astype(float) + self.by


def test_the_saved_model_equals_the_object(table, candidate, loaded):
    found = serving_equality(candidate[1].pipeline, loaded, table)
    assert found.passed
    assert found.observed is not None
    assert found.observed < 1e-6
    assert "14 comparisons of booster.ubj, model.onnx, model.skops, rows, tables.json" in found.reason


@pytest.mark.parametrize(("by", "passed"), [(0.9e-6, True), (1.1e-6, False)])
def test_a_difference_above_the_tolerance_blocks(table, candidate, loaded, by, passed):
    alone = replace(loaded, form_files={})  # the other forms are off by 1e-7 of their own
    found = serving_equality(Nudged(candidate[1].pipeline, by), alone, table)
    assert found.passed == passed
    assert found.observed == pytest.approx(by, rel=0.01)


def test_a_flipped_decision_blocks_however_small_the_difference(table, candidate, loaded):
    class AtTheEdge(Nudged):
        def predict_proba(self, frame):
            return np.full((len(frame), 2), 0.5 + self.by)

    ours, served = (
        AtTheEdge(candidate[1].pipeline, 1e-9),
        replace(loaded, pipeline=AtTheEdge(None, -1e-9), form_files={}),
    )
    found = serving_equality(ours, served, table)
    assert found.observed == pytest.approx(2e-9)
    assert not found.passed


def test_a_model_that_differs_only_on_unknown_categories_is_caught(table, candidate, loaded):
    class OnEdges(Nudged):
        def predict_proba(self, frame):
            return self.pipeline.predict_proba(frame) + 0.1 * (frame[["colour"]].to_numpy() == "a category never seen")

    assert not serving_equality(OnEdges(candidate[1].pipeline, 0), loaded, table).passed


def test_a_form_that_differs_is_named_with_the_rows(table, candidate, loaded):
    booster = candidate[1].pipeline[-1].get_booster()
    shorter = bytes(booster[: booster.num_boosted_rounds() - 1].save_raw("ubj"))
    found = serving_equality(
        candidate[1].pipeline, replace(loaded, form_files={**loaded.form_files, "booster.ubj": shorter}), table
    )
    assert not found.passed
    assert "booster.ubj on" in found.reason
    assert "model.onnx on" not in found.reason
