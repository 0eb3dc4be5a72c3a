"""Evaluate the candidate of a run: score the test rows, judge, fit again if approved, store the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.evaluation.budget import budget
from mlops_assets.evaluation.gate import judge
from mlops_assets.evaluation.reading import record_reading, rows_set_apart, score_rows
from mlops_assets.evaluation.sanity import refit_mean, refit_metric
from mlops_assets.evaluation.serving_equality import serving_equality
from mlops_assets.evaluation.verdict import REFIT, Approved, Verdict, decide, write_verdict
from mlops_assets.lake.uris import join
from mlops_assets.predictor.artifact import load
from mlops_assets.stats.metrics import METRICS, TASK_METRICS
from mlops_assets.training.candidate import CANDIDATE, Extras, log_model
from mlops_assets.training.estimators import Recipe
from mlops_assets.training.fit import refit
from mlops_assets.training.plots import score_plots
from mlops_assets.training.split import newest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    from mlops_assets.evaluation.rows import TestRows
    from mlops_assets.evaluation.spec import GateSpec
    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.predictor.manifest import Manifest
    from mlops_assets.predictor.signature import Signature
    from mlops_assets.training.candidate import ReferenceOf
    from mlops_assets.training.tracking import TrackedRun

TEST_METRIC = "mlops/test_metric"  # of the lineage: what the gate judged by, and its value


@dataclass(frozen=True)
class Evaluation:
    """A verdict, and what else was seen on the test rows.

    Attributes:
        manifest: Of the candidate that was judged.
        metrics: `test_<metric>` and `test_rows`; the run has them too.
        pictures: PNG bytes by name, `test_<picture>`; the run has them too, under `plots/`.
    """

    verdict: Verdict
    manifest: Manifest
    metrics: Mapping[str, float]
    pictures: Mapping[str, bytes]


def evaluate(
    table: pa.Table,
    run: TrackedRun,
    *,
    champion: Predictor | None,
    gate: GateSpec,
    refit_approved: bool,
    reference_of: ReferenceOf | None,
    now: datetime,
) -> Evaluation:
    """Judge the candidate of `run`, store the verdict against the run, and return it.

    The candidate scores its test rows here and nowhere else, and the reading is recorded before it happens.

    Args:
        table: The training set of the candidate; it is judged on the rows that its training set apart.
        champion: The present champion as it was judged (see `load_judged`), or None.
        refit_approved: Fit an approved recipe again on all rows, as the run's artefact `refit`.
        reference_of: Makes the refit's reference profile (see `training.candidate.Extras`).

    Raises:
        MlopsError: See `rows_set_apart`.
    """
    candidate = load(run.artifact_uri(CANDIDATE))
    signature = candidate.manifest.signature
    is_test = rows_set_apart(table, run.run_id, candidate, gate)
    test = table.filter(is_test)
    notes = record_reading(run, test)
    rows = score_rows(table, is_test, candidate=candidate, champion=champion, gate=gate)
    metrics, pictures = _log(run, rows, signature, metric=gate.metric_for(signature.task))
    verdict = judge(
        run.run_id,
        rows,
        candidate_sha256=candidate.sha256,
        spec=gate,
        task=signature.task,
        seed=_recipe(candidate).seed,
        notes=notes,
        now=now,
    )
    served, uri, pipeline = candidate, run.artifact_uri(CANDIDATE), candidate.pipeline
    if refit_approved and isinstance(verdict, Approved):
        uri, pipeline = _refit(run, candidate, table, reference_of)
        served = load(uri)
        verdict = _check_refit(verdict, rows, served, test, metric=gate.metric_for(signature.task))
    equality = serving_equality(pipeline, served, test, threshold=gate.decision_threshold)
    verdict = decide(verdict, equality, *budget(served, uri, test, gate))
    write_verdict(run, verdict)
    return Evaluation(verdict, candidate.manifest, metrics, pictures)


def load_judged(artifact_uri: str) -> Predictor:
    """Return the model that the gate judged when this version was approved: the one before its refit, which lies beside it.

    A candidate has not seen its newest weeks, so its fair rival is a champion that had not either. Against the refit,
    which has, newer training data never gets a chance to show its worth.
    """
    return load(join(artifact_uri.rpartition("/")[0], CANDIDATE))


def _refit(
    run: TrackedRun, candidate: Predictor, table: pa.Table, reference_of: ReferenceOf | None
) -> tuple[str, Pipeline]:
    signature = candidate.manifest.signature
    pipeline = refit(table, _recipe(candidate), signature=signature, candidate=candidate.pipeline)
    facts = {**candidate.manifest.facts, "trained_through": newest(table).isoformat()}
    extras = Extras(facts, candidate.request_source, reference_of, candidate.manifest.lookup)
    return log_model(run, REFIT, pipeline, table, signature=signature, extras=extras), pipeline


def _check_refit(verdict: Approved, rows: TestRows, served: Predictor, test: pa.Table, *, metric: str) -> Verdict:
    again = served.predict(test)
    return decide(
        verdict,
        refit_metric(rows.y, rows.candidate, again, metric=metric),
        refit_mean(rows.candidate, again),
        refit_sha256=served.sha256,
    )


def _log(
    run: TrackedRun, rows: TestRows, signature: Signature, *, metric: str
) -> tuple[dict[str, float], dict[str, bytes]]:
    """Write what the scores of the test rows say into the run."""
    found = {f"test_{name}": METRICS[name](rows.y, rows.candidate) for name in TASK_METRICS[signature.task]}
    metrics = {"test_rows": float(len(rows.y)), **found}
    run.log_metrics(metrics)
    run.set_tags({TEST_METRIC: f"{metric} {metrics[f'test_{metric}']:.4g}"})
    pictures = score_plots(rows.y, rows.candidate, task=signature.task, classes=signature.classes, part="test")
    run.log_files("plots", {f"{name}.png": png for name, png in pictures.items()})
    return metrics, pictures


def _recipe(predictor: Predictor) -> Recipe:
    return Recipe(**predictor.manifest.facts["recipe"])
