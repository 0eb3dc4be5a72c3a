"""Evaluate the candidate of a run: score the test rows, judge, fit again if approved, store the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.evaluation.baseline import baseline_scores
from mlops_assets.evaluation.gate import TestRows, judge
from mlops_assets.evaluation.reading import record_reading
from mlops_assets.evaluation.sanity import refit_mean, refit_metric
from mlops_assets.evaluation.serving_equality import serving_equality
from mlops_assets.evaluation.verdict import REFIT, Approved, Verdict, decide, write_verdict
from mlops_assets.predictor.artifact import load
from mlops_assets.stats.metrics import METRICS, TASK_METRICS
from mlops_assets.training.candidate import CANDIDATE, Extras, log_model
from mlops_assets.training.estimators import Recipe
from mlops_assets.training.fit import refit
from mlops_assets.training.labels import labels
from mlops_assets.training.split import UNIX_EPOCH, newest, prediction_times

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    from mlops_assets.evaluation.spec import GateSpec
    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.predictor.signature import Task
    from mlops_assets.training.candidate import ReferenceOf
    from mlops_assets.training.tracking import TrackedRun, Tracking

    Vector = np.ndarray[Any, Any]

TEST_METRIC = "mlops/test_metric"  # of the lineage: what the gate judged by, and its value
DAY_MICROS = timedelta(days=1) // timedelta(microseconds=1)


class UnknownBlock(MlopsError):
    """The gate's block is not a column of the training set."""

    def __init__(self, block: str, columns: list[str]) -> None:
        super().__init__(
            f"gate.block {block!r}",
            found=f"columns {', '.join(columns)}",
            required="`day` or one of these columns",
            remedy="Correct `gate.block`, or let the spine select that column.",
        )


class NoTestRows(MlopsError):
    """The training set has no row to judge the candidate on."""

    def __init__(self, candidate_id: str, *, newest_row: datetime, test_after: datetime) -> None:
        super().__init__(
            f"candidate {candidate_id}",
            found=f"a training set up to {newest_row:%Y-%m-%d %H:%M}",
            required=f"rows after {test_after:%Y-%m-%d %H:%M}, which the candidate has not seen",
            remedy="Evaluate it on the training set that it was trained on.",
        )


@dataclass(frozen=True)
class Evaluation:
    """A verdict, and what else was seen on the test rows.

    Attributes:
        metrics: `test_<metric>` and `test_rows`; the run has them too.
    """

    verdict: Verdict
    metrics: Mapping[str, float]


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
        NoTestRows: The table ends before the test rows of the candidate begin.
    """
    candidate = load(run.artifact_uri(CANDIDATE))
    task, times = candidate.manifest.task, prediction_times(table)
    is_test = times > _micros(candidate, "test_after")
    if not is_test.any():
        raise NoTestRows(run.run_id, newest_row=newest(table), test_after=_time(candidate, "test_after"))
    test, y = table.filter(is_test), labels(table, task, candidate.manifest.classes)
    notes = record_reading(run, test)
    rows = TestRows(
        y=y[is_test],
        candidate=candidate.predict(test),
        champion=None if champion is None else _champion_scores(champion, test),
        champion_unseen=None if champion is None else prediction_times(test) > _micros(champion, "trained_through"),
        baseline=baseline_scores(y[times <= _micros(candidate, "train_until")], test.num_rows),
        blocks=block_of_rows(test, gate.block),
    )
    metrics = _test_metrics(rows, task)
    run.log_metrics(metrics)
    metric = gate.metric_for(task)
    run.set_tags({TEST_METRIC: f"{metric} {metrics[f'test_{metric}']:.4g}"})
    seed = _recipe(candidate).seed
    verdict = judge(
        run.run_id, rows, candidate_sha256=candidate.sha256, spec=gate, task=task, seed=seed, notes=notes, now=now
    )
    if refit_approved and isinstance(verdict, Approved):
        uri, pipeline = _refit(run, candidate, table, reference_of)
        verdict = _check_refit(verdict, load(uri), pipeline, test, rows, metric=metric)
    write_verdict(run, verdict)
    return Evaluation(verdict, metrics)


def load_judged(tracking: Tracking, candidate_id: str) -> Predictor:
    """Return the model that the gate judged when this candidate was approved: the one before its refit.

    A candidate has not seen its newest weeks, so its fair rival is a champion that had not either. Against the refit,
    which has, newer training data never gets a chance to show its worth.
    """
    return load(tracking.open_run(candidate_id).artifact_uri(CANDIDATE))


def block_of_rows(table: pa.Table, block: str) -> Vector:
    """Return a number for the block of each row: its calendar day (UTC), or its value in a column.

    Raises:
        UnknownBlock: The table has no such column.
    """
    if block == "day":
        return prediction_times(table) // DAY_MICROS
    if block not in table.column_names:
        raise UnknownBlock(block, table.column_names)
    return table[block].combine_chunks().dictionary_encode("encode").indices.to_numpy(zero_copy_only=False)


def _refit(
    run: TrackedRun, candidate: Predictor, table: pa.Table, reference_of: ReferenceOf | None
) -> tuple[str, Pipeline]:
    signature = candidate.manifest.signature
    pipeline = refit(table, _recipe(candidate), signature=signature, candidate=candidate.pipeline)
    facts = {**candidate.manifest.facts, "trained_through": newest(table).isoformat()}
    extras = Extras(facts, candidate.request_source, reference_of)
    return log_model(run, REFIT, pipeline, table, signature=signature, extras=extras), pipeline


def _check_refit(
    verdict: Approved, served: Predictor, pipeline: Pipeline, test: pa.Table, rows: TestRows, *, metric: str
) -> Verdict:
    again = served.predict(test)
    return decide(
        verdict,
        refit_metric(rows.y, rows.candidate, again, metric=metric),
        refit_mean(rows.candidate, again),
        serving_equality(pipeline, served, test),
        refit_sha256=served.sha256,
    )


def _test_metrics(rows: TestRows, task: Task) -> dict[str, float]:
    found = {f"test_{name}": METRICS[name](rows.y, rows.candidate) for name in TASK_METRICS[task]}
    return {"test_rows": float(len(rows.y))} | found


def _recipe(predictor: Predictor) -> Recipe:
    return Recipe(**predictor.manifest.facts["recipe"])


def _time(predictor: Predictor, fact: str) -> datetime:
    return datetime.fromisoformat(predictor.manifest.facts[fact])


def _micros(predictor: Predictor, fact: str) -> int:
    return (_time(predictor, fact) - UNIX_EPOCH) // timedelta(microseconds=1)


def _champion_scores(champion: Predictor, test: pa.Table) -> Vector:
    """Score the rows as production would: a feature that the model's file no longer names is null."""
    import pyarrow as pa

    for name in champion.features:
        if name not in test.column_names:
            test = test.append_column(name, pa.nulls(test.num_rows))
    return champion.predict(test)
