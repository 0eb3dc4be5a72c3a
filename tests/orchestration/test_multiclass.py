"""A model of three classes through the whole loop: trained, judged, registered, routed, scored, monitored."""

import numpy as np
import pytest
from shop.deployment import value
from shop.versions import CLASSES, Versions
from sklearn import metrics as sk

from mlops_assets.lake.state import open_state
from mlops_assets.lake.tables import read
from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.predictions.score import predictions_uri
from mlops_assets.predictor.artifact import load
from mlops_assets.rollout.routing import read_routing

pytestmark = pytest.mark.slow


def test_both_versions_pass_the_gate_and_the_second_replaces_the_first(versions: Versions) -> None:
    verdicts = [value(run, "evaluation", "verdict") for run in versions.runs]
    routing, _ = read_routing(open_state(versions.lake), "returns")

    assert verdicts == ["approved", "approved"]
    assert (routing.previous.version, routing.champion.version) == (1, 2)
    assert load(routing.champion.artifact_uri).manifest.classes == CLASSES


def test_predictions_name_the_class_and_all_probabilities(versions: Versions) -> None:
    rows = read(predictions_uri(versions.lake, "returns"), window=versions.week)
    probabilities = np.array(rows["probabilities"].to_pylist())

    assert probabilities.shape == (rows.num_rows, 3)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert rows["predicted_class"].to_pylist() == [CLASSES[place] for place in probabilities.argmax(axis=1)]
    assert rows["score"].to_pylist() == probabilities.max(axis=1).tolist()


def test_quality_is_what_scikit_learn_says_of_the_orders(versions: Versions) -> None:
    rows = read(predictions_uri(versions.lake, "returns"), window=versions.week).to_pandas()
    orders = read(f"{versions.lake}/raw/shop/orders", window=versions.week).to_pandas().set_index("order_id")
    truth = orders.loc[rows["order_id"]].reset_index()
    label = np.select([~truth["returned"], truth["amount"] > 40], ["kept", "costly"], "cheap")

    metadata = {
        name: value(versions.monitored, "quality_report", name) for name in ("accuracy", "f1_macro", "log_loss")
    }
    probabilities = np.array(rows["probabilities"].tolist())
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # float32 adds up to one nearly
    assert metadata == pytest.approx(
        {
            "accuracy": sk.accuracy_score(label, rows["predicted_class"]),
            "f1_macro": sk.f1_score(label, rows["predicted_class"], average="macro"),
            "log_loss": sk.log_loss(label, probabilities, labels=list(CLASSES)),
        }
    )
    assert value(versions.monitored, "quality_report", "labelled") == len(rows)


def test_the_predicted_class_is_profiled_as_a_category(versions: Versions) -> None:
    rows = read(predictions_uri(versions.lake, "returns"), window=versions.week)
    kept = MonitoringStore(versions.lake, "returns").profile(versions.week)
    reference = load(kept.artifact_uri).reference_profile

    known = reference["grid"]["categorical"]["predicted_class"]
    counted = dict(zip(known, kept.profile.categorical["predicted_class"].counts, strict=True))
    assert counted == {name: rows["predicted_class"].to_pylist().count(name) for name in known}
    assert set(known) <= set(CLASSES)


def test_what_was_scored_is_what_the_offline_path_gives(versions: Versions) -> None:
    (check,) = [one for one in versions.monitored.get_asset_check_evaluations() if one.check_name == "no_skew"]
    assert check.passed
