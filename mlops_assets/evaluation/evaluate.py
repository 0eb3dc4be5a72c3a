"""Evaluate the candidate of a run: score the test rows, judge, fit again if approved, store the verdict."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.evaluation.baseline import baseline_scores
from mlops_assets.evaluation.gate import judge
from mlops_assets.evaluation.sanity import refit_mean, refit_metric, serving_equality
from mlops_assets.evaluation.verdict import CANDIDATE, REFIT, Approved, Verdict, decide, write_verdict
from mlops_assets.predictor.artifact import load
from mlops_assets.training.estimators import Recipe
from mlops_assets.training.fit import newest, refit
from mlops_assets.training.labels import labels
from mlops_assets.training.log import log_model
from mlops_assets.training.split import prediction_times, split

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.evaluation.spec import GateSpec
    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.training.spec import SplitSpec
    from mlops_assets.training.tracking import TrackedRun

    Vector = np.ndarray[Any, Any]

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


class SeenTestRows(MlopsError):
    """The candidate was trained on rows that it would be judged on."""

    def __init__(self, candidate_id: str, *, rows: int, trained_through: datetime) -> None:
        super().__init__(
            f"candidate {candidate_id}",
            found=f"{rows} test rows at or before {trained_through:%Y-%m-%d %H:%M}, up to where it was trained",
            required="test rows after its training",
            remedy="Evaluate on the training set and with the `split` that it was trained with, or train a new candidate.",
        )


def evaluate(
    table: pa.Table,
    run: TrackedRun,
    *,
    champion: Predictor | None,
    split_spec: SplitSpec,
    label_delay: timedelta,
    gate: GateSpec,
    refit_approved: bool,
    now: datetime,
) -> Verdict:
    """Judge the candidate of `run`, store the verdict against the run, and return it.

    Args:
        table: The training set of the candidate; split as for training.
        champion: The present champion, or None.
        refit_approved: Fit an approved recipe again on all rows, as the run's artefact `refit`.
    """
    candidate = load(run.artifact_uri(CANDIDATE))
    task = candidate.manifest.task
    parts = split(table, split_spec, task=task, label_delay=label_delay)
    test = table.take(parts.test)
    _require_unseen(run.run_id, candidate, test)
    y, scores = labels(table, task), candidate.predict(test)
    verdict = judge(
        run.run_id,
        candidate_sha256=candidate.sha256,
        y=y[parts.test],
        candidate=scores,
        champion=None if champion is None else _champion_scores(champion, test),
        champion_unseen=None if champion is None else _unseen(champion, test),
        baseline=baseline_scores(y[parts.train], test.num_rows),
        blocks=block_of_rows(test, gate.block),
        spec=gate,
        task=task,
        seed=_recipe(candidate).seed,
        now=now,
    )
    if refit_approved and isinstance(verdict, Approved):
        verdict = _refit(verdict, run, candidate, table, test, scores, metric=gate.metric_for(task))
    write_verdict(run, verdict)
    return verdict


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


def trained_through(predictor: Predictor) -> datetime:
    """Return the newest prediction time that the model was trained on."""
    return datetime.fromisoformat(predictor.manifest.facts["trained_through"])


def _refit(
    verdict: Approved,
    run: TrackedRun,
    candidate: Predictor,
    table: pa.Table,
    test: pa.Table,
    scores: Vector,
    *,
    metric: str,
) -> Verdict:
    signature = candidate.manifest.signature
    pipeline = refit(table, _recipe(candidate), signature=signature)
    uri = log_model(
        run,
        REFIT,
        pipeline,
        table,
        signature=signature,
        recipe=_recipe(candidate),
        trained_through=newest(table),
        facts=candidate.manifest.facts,
        request_source=candidate.request_source,
        reference_profile=candidate.reference_profile,
    )
    served = load(uri)
    again = served.predict(test)
    return decide(
        verdict,
        refit_metric(labels(test, signature.task), scores, again, metric=metric),
        refit_mean(scores, again),
        serving_equality(pipeline, served, test),
        refit_sha256=served.sha256,
    )


def _recipe(predictor: Predictor) -> Recipe:
    return Recipe(**predictor.manifest.facts["recipe"])


def _unseen(predictor: Predictor, rows: pa.Table) -> Vector:
    return prediction_times(rows) > int(trained_through(predictor).timestamp() * 1_000_000)


def _require_unseen(candidate_id: str, candidate: Predictor, test: pa.Table) -> None:
    seen = int((~_unseen(candidate, test)).sum())
    if seen:
        raise SeenTestRows(candidate_id, rows=seen, trained_through=trained_through(candidate))


def _champion_scores(champion: Predictor, test: pa.Table) -> Vector:
    """Score the rows as production would: a feature that the model's file no longer names is null."""
    import pyarrow as pa

    for name in champion.features:
        if name not in test.column_names:
            test = test.append_column(name, pa.nulls(test.num_rows))
    return champion.predict(test)
