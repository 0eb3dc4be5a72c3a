"""What the model that will serve may cost, and whose cost it is; several classes, end to end."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import log_loss

from mlops_assets.evaluation.budget import artifact_mb, budget, latency_ms
from mlops_assets.evaluation.evaluate import evaluate, load_judged
from mlops_assets.evaluation.spec import GateSpec
from mlops_assets.predictor.artifact import load
from mlops_assets.training.candidate import Extras, log_candidate
from mlops_assets.training.fit import train
from mlops_assets.training.spec import SplitSpec, TrainingSpec

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def test_the_size_is_that_of_all_files(candidate):
    uri = candidate[0].artifact_uri("candidate")
    assert artifact_mb(uri) == sum(file.stat().st_size for file in Path(uri).rglob("*")) / 1e6


def test_limits_are_kept_or_broken(candidate, table):
    uri = candidate[0].artifact_uri("candidate")
    served = load(uri)
    assert not list(budget(served, uri, table, GateSpec()))
    wide, tight = (
        {one.name: one for one in budget(served, uri, table, GateSpec(latency_ms=limit, artifact_mb=limit))}
        for limit in (1e6, 1e-6)
    )
    assert [one.passed for one in wide.values()] == [True, True]
    assert [one.passed for one in tight.values()] == [False, False]
    assert "latency_ms: 99th percentile of 200 rows is" in tight["latency_ms"].reason
    assert 0 < latency_ms(served, table.slice(0, 3)) < 1e6


def test_a_refit_is_judged_by_its_own_files(new_candidate, table):
    run, _ = new_candidate()
    gate = GateSpec(replicates=200, artifact_mb=100)
    verdict = evaluate(table, run, champion=None, gate=gate, refit_approved=True, reference_of=None, now=NOW).verdict
    size = next(one for one in verdict.criteria if one.name == "artifact_mb")
    assert size.observed == artifact_mb(run.artifact_uri("refit")) != artifact_mb(run.artifact_uri("candidate"))


def _train(tracking, table, **spec):
    with tracking.run("kinds", tags={}) as run:
        fitted = train(
            table,
            task="multiclass",
            features={"size": "numeric"},
            request_inputs=["size"],
            split_spec=SplitSpec(),
            spec=TrainingSpec(**spec),
            label_delay=timedelta(days=2),
        )
        log_candidate(run, fitted, table, extras=Extras({}, None, None))
    return run


def test_several_classes_are_judged_also_against_a_champion_that_knows_fewer(tracking, table):
    rng = np.random.default_rng(0)
    size = rng.normal(size=table.num_rows)
    kind = np.where(
        size + 0.5 * rng.normal(size=len(size)) > 0.7, "new", np.where(size > -0.5, "b", np.where(size > -1, "c", "a"))
    )
    rows = pa.table({"prediction_time": table["prediction_time"], "size": size, "label": kind})
    older = _train(tracking, rows.set_column(2, "label", pa.array(np.where(kind == "new", "b", kind))))
    candidate = _train(tracking, rows)
    champion = load_judged(older.artifact_uri("refit"))
    gate = GateSpec(replicates=200, floors={"accuracy": 0.5}, calibration_error=0.5)

    found = evaluate(rows, candidate, champion=champion, gate=gate, refit_approved=False, reference_of=None, now=NOW)

    asked = {criterion.name: criterion for criterion in found.verdict.criteria}
    assert found.verdict.is_approved, found.verdict.reasons
    assert {"baseline", "champion", "floor_accuracy", "calibration_error"} <= set(asked)
    model = load(candidate.artifact_uri("candidate"))
    after = datetime.fromisoformat(model.manifest.facts["test_after"])
    test = rows.filter(pa.array([time > after for time in rows["prediction_time"].to_pylist()]))
    y = test["label"].to_numpy(zero_copy_only=False)
    assert found.metrics["test_log_loss"] == pytest.approx(
        log_loss(y, model.predict(test), labels=["a", "b", "c", "new"])
    )
    theirs = np.column_stack([champion.predict(test), np.zeros(test.num_rows)])
    chance = np.clip(theirs[np.arange(len(y)), np.searchsorted(["a", "b", "c", "new"], y)], 2.0**-52, 1)
    assert asked["champion"].observed == pytest.approx(-np.log(chance).mean() - found.metrics["test_log_loss"])
