"""A candidate of a streamed training set goes the way of every other: logged, judged, fitted again, loaded."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.parquet as pq

from mlops_assets.evaluation.evaluate import evaluate
from mlops_assets.evaluation.spec import GateSpec
from mlops_assets.evaluation.verdict import Approved
from mlops_assets.lake.stored_table import StoredTable
from mlops_assets.predictor.artifact import load
from mlops_assets.training import stream
from mlops_assets.training.candidate import Extras, log_candidate
from mlops_assets.training.fit import train
from mlops_assets.training.spec import SplitSpec, TrainingSpec


def _judged(table, tracking):
    seen = []

    def reference(rows, _):
        seen.append(rows.num_rows)
        return b"{}"

    with tracking.run("shop", tags={}) as run:
        fitted = train(
            table,
            task="binary",
            features={"size": "numeric", "colour": "categorical"},
            request_inputs=["size"],
            split_spec=SplitSpec(),
            spec=TrainingSpec(params={"n_estimators": 20}),
            label_delay=timedelta(days=2),
        )
        log_candidate(run, fitted, table, extras=Extras({"training_set": "abc"}, None, reference))
    gate = GateSpec(floor=0.6, replicates=200)
    now = datetime(2024, 5, 1, tzinfo=UTC)
    evaluated = evaluate(table, run, champion=None, gate=gate, refit_approved=True, reference_of=reference, now=now)
    return run, evaluated, seen


def test_the_verdict_and_the_served_model_are_those_of_rows_in_memory(table, tracking, tmp_path, monkeypatch):
    pq.write_table(table, tmp_path / "set.parquet", row_group_size=130)
    monkeypatch.setattr(stream, "CELLS_IN_MEMORY", 0)
    (run, ours, _), (other, expected, _) = (
        _judged(rows, tracking) for rows in (StoredTable(tmp_path / "set.parquet"), table)
    )
    assert isinstance(ours.verdict, Approved)
    assert ours.metrics == expected.metrics
    assert ours.verdict.criteria == expected.verdict.criteria
    for artefact in ("candidate", "refit"):
        served, likewise = (load(one.artifact_uri(artefact)) for one in (run, other))
        np.testing.assert_array_equal(served.predict(table), likewise.predict(table))
        assert served.manifest.files["booster.ubj"] == likewise.manifest.files["booster.ubj"]
        assert (served.manifest.facts["data"], likewise.manifest.facts["data"]) == ("stream", "memory")


def test_a_sample_describes_the_past_of_a_large_set(table, tracking, tmp_path, monkeypatch):
    pq.write_table(table, tmp_path / "set.parquet")
    monkeypatch.setattr(stream, "SAMPLE_ROWS", 700)
    run, _, seen = _judged(StoredTable(tmp_path / "set.parquet"), tracking)
    assert seen == [700, 700]
    manifest = json.loads(run.read_bytes("refit/manifest.json"))
    assert manifest["facts"]["reference_rows"] == 700
