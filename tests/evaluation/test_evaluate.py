"""From a logged candidate to a stored verdict, on real runs."""

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from mlops_assets.evaluation.evaluate import evaluate, load_judged
from mlops_assets.evaluation.reading import NoTestRows
from mlops_assets.evaluation.rows import UnknownColumn, block_of_rows
from mlops_assets.evaluation.spec import GateSpec
from mlops_assets.evaluation.verdict import Approved, Rejected, read_verdict
from mlops_assets.predictor.artifact import identity, load
from mlops_assets.predictor.errors import CorruptArtifact
from mlops_assets.training.tracking import Tracking

NOW = datetime(2024, 5, 1, tzinfo=UTC)
GATE = GateSpec(floor=0.6, replicates=200)


def _evaluate(table, run, *, champion=None, gate=GATE, refit=False, reference_of=None):
    return evaluate(
        table, run, champion=champion, gate=gate, refit_approved=refit, reference_of=reference_of, now=NOW
    ).verdict


def test_it_judges_on_the_rows_that_training_set_apart(table, candidate):
    run, fitted = candidate
    verdict = _evaluate(table, run)
    floor = next(criterion for criterion in verdict.criteria if criterion.name == "floor")
    test = table.take(fitted.split.test)
    scores = load(run.artifact_uri("candidate")).predict(test)
    assert floor.observed == pytest.approx(roc_auc_score(test["label"].to_numpy(), scores))
    assert verdict.candidate_sha256 == identity(run.artifact_uri("candidate"))


def test_the_run_knows_how_often_its_test_rows_were_read(table, tmp_path, new_candidate):
    fresh = Tracking(f"sqlite:///{tmp_path}/mlflow.db", "dev", f"{tmp_path}/artifacts")
    (run, fitted), (later, _) = new_candidate(tracking=fresh), new_candidate(tracking=fresh)
    assert not [name for name in run.client.get_run(run.run_id).data.metrics if name.startswith("test_roc")]

    first, second = _evaluate(table, run), _evaluate(table, run)
    after = _evaluate(table, later)

    test = table.take(fitted.split.test)
    times = test["prediction_time"].to_pylist()
    assert run.tags()["mlops/test_reads"] == "2"
    assert run.tags()["mlops/test_window"] == f"{min(times).isoformat()}/{max(times).isoformat()}"
    assert first.notes == ("first model: there is no champion to compare with",)
    assert second.notes[0] == "the test rows were read 2 times for this candidate"
    assert after.notes[0].startswith("1 earlier candidates were judged on rows of this test window")
    metrics = run.client.get_run(run.run_id).data.metrics
    scores = load(run.artifact_uri("candidate")).predict(test)
    assert metrics["test_roc_auc"] == pytest.approx(roc_auc_score(test["label"].to_numpy(), scores))
    assert metrics["test_rows"] == test.num_rows


def test_the_verdict_is_stored_against_the_run(table, candidate, tracking):
    run, _ = candidate
    verdict = _evaluate(table, run)
    assert read_verdict(tracking.open_run(run.run_id)) == verdict
    assert run.tags()["mlops/verdict"] == "approved"
    assert isinstance(_evaluate(table, run, gate=GateSpec(floor=0.999, replicates=200)), Rejected)
    assert isinstance(read_verdict(run), Rejected)
    assert run.tags()["mlops/verdict"] == "rejected"


def test_a_run_that_was_never_evaluated_has_no_verdict(new_candidate):
    assert read_verdict(new_candidate()[0]) is None


def test_a_champion_with_the_same_scores_stays(table, candidate, tracking):
    run, _ = candidate
    verdict = _evaluate(table, run, champion=load_judged(run.artifact_uri("refit")))
    assert isinstance(verdict, Rejected)
    assert verdict.reasons[0].startswith("champion: roc_auc is better by 0 ")


def test_a_weaker_champion_goes_and_may_have_fewer_features(table, candidate, new_candidate, tracking):
    weak, _ = new_candidate(features=("colour",))
    verdict = _evaluate(table, candidate[0], champion=load_judged(weak.artifact_uri("refit")))
    assert isinstance(verdict, Approved)
    assert not any("first model" in note for note in verdict.notes)


def test_a_feature_that_only_the_champion_has_is_null_for_it(table, candidate, new_candidate):
    narrow, _ = new_candidate(features=("size",))
    champion = load(candidate[0].artifact_uri("candidate"))
    verdict = _evaluate(table.drop_columns(["colour"]), narrow, champion=champion)
    found = next(criterion for criterion in verdict.criteria if criterion.name == "champion").observed
    test = table.filter(pa.array(np.isin(np.arange(table.num_rows), candidate[1].split.test)))
    blind = champion.predict(test.set_column(4, "colour", pa.nulls(test.num_rows, pa.string())))
    scores = load(narrow.artifact_uri("candidate")).predict(test)
    y = test["label"].to_numpy()
    assert found == pytest.approx(roc_auc_score(y, scores) - roc_auc_score(y, blind))


def test_an_approved_recipe_is_fitted_again_on_all_rows(table, new_candidate):
    run, fitted = new_candidate()
    seen = []
    verdict = _evaluate(
        table, run, refit=True, reference_of=lambda rows, outputs: seen.append((rows, outputs)) or b'{"again": 1}'
    )
    assert isinstance(verdict, Approved)
    assert {"refit_metric", "refit_mean", "serving_equality"} <= {criterion.name for criterion in verdict.criteria}
    assert verdict.refit_sha256 == identity(run.artifact_uri("refit")) != verdict.candidate_sha256
    again = load(run.artifact_uri("refit"))
    assert again.manifest.facts["trained_through"] == max(table["prediction_time"].to_pylist()).isoformat()
    assert again.manifest.facts["recipe"] == json.loads(json.dumps(fitted.recipe.__dict__))
    assert again.manifest.facts["training_set"] == "abc"
    assert again.request_features is not None
    assert again.reference_profile == {"again": 1}
    assert (seen[0][0], seen[0][1]["score"].to_pylist()) == (table, again.predict(table).tolist())


def test_a_rejected_candidate_is_not_fitted_again(table, new_candidate):
    run, _ = new_candidate()
    verdict = _evaluate(table, run, refit=True, gate=GateSpec(floor=0.999, replicates=200))
    assert verdict.refit_sha256 is None
    with pytest.raises(CorruptArtifact):
        identity(run.artifact_uri("refit"))


def test_a_refit_that_turned_out_badly_is_rejected(table, new_candidate):
    run, fitted = new_candidate()
    is_test = np.isin(np.arange(table.num_rows), fitted.split.test)
    spoilt = np.where(is_test, table["label"].to_numpy(), ~table["label"].to_numpy())  # since the candidate was fitted
    verdict = _evaluate(table.set_column(2, "label", pa.array(spoilt)), run, refit=True)
    assert isinstance(verdict, Rejected)
    assert verdict.reasons[0].startswith("refit_metric: roc_auc of the refit is worse by")


def test_a_table_that_ends_too_early_cannot_judge(table, candidate):
    with pytest.raises(NoTestRows, match="which the candidate has not seen"):
        _evaluate(table.slice(0, 600), candidate[0])


def test_a_corrupt_candidate_is_not_judged(table, new_candidate):
    from pathlib import Path

    run, _ = new_candidate()
    with Path(run.artifact_uri("candidate/model.skops")).open("ab") as file:
        file.write(b"x")
    with pytest.raises(CorruptArtifact, match=r"model\.skops"):
        _evaluate(table, run)
    assert read_verdict(run) is None


def test_blocks_are_days_or_the_values_of_a_column(table):
    days = [time.date() for time in table["prediction_time"].to_pylist()]
    assert block_of_rows(table, "day").tolist() == days
    shops = block_of_rows(table, "shop")
    names = table["shop"].to_pylist()
    assert len(set(shops)) == 12
    assert len(set(zip(shops, names, strict=True))) == 12


@pytest.mark.parametrize(
    ("gate", "place"),
    [
        ({"block": "plane"}, "gate.block 'plane': found columns prediction_time, .* required `day` or one of these"),
        ({"slices": [{"by": "plane", "max_gap": 1}]}, r"gate.slices.by 'plane': .* required one of these"),
        ({"fairness": [{"by": "plane", "demographic_parity_difference": 1}]}, "gate.fairness.by 'plane'"),
        ({"baseline": "last_value", "baseline_by": ["plane"]}, "gate.baseline_by 'plane'"),
    ],
)
def test_a_column_that_is_not_there_is_named_before_a_row_is_read(table, new_candidate, gate, place):
    run, _ = new_candidate()
    with pytest.raises(UnknownColumn, match=place):
        _evaluate(table, run, gate=GateSpec(**gate))
    assert "mlops/test_reads" not in run.tags()


def test_a_block_may_be_missing():
    assert len(set(block_of_rows(pa.table({"shop": ["a", None, "a", None]}), "shop"))) == 2


def test_an_entity_can_be_the_block(table, candidate):
    verdict = _evaluate(table, candidate[0], gate=GateSpec(block="shop", replicates=200))
    assert "over 12 blocks (shop)" in verdict.criteria[0].reason
