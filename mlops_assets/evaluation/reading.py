"""Read the test window, a resource that wears out: score its rows, and record that it was read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.evaluation.baseline import baseline_scores
from mlops_assets.evaluation.rows import TestRows, block_of_rows, groups_of_rows, require_columns
from mlops_assets.training.labels import labels
from mlops_assets.training.split import UNIX_EPOCH, newest, prediction_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa

    from mlops_assets.evaluation.spec import GateSpec
    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.training.tracking import TrackedRun

    Vector = np.ndarray[Any, Any]

READS, WINDOW = "mlops/test_reads", "mlops/test_window"
MOST_RUNS = 1000


class NoTestRows(MlopsError):
    """The training set has no row to judge the candidate on."""

    def __init__(self, candidate_id: str, *, newest_row: datetime, test_after: datetime) -> None:
        super().__init__(
            f"candidate {candidate_id}",
            found=f"a training set up to {newest_row:%Y-%m-%d %H:%M}",
            required=f"rows after {test_after:%Y-%m-%d %H:%M}, which the candidate has not seen",
            remedy="Evaluate it on the training set that it was trained on.",
        )


def rows_set_apart(table: pa.Table, candidate_id: str, candidate: Predictor, gate: GateSpec) -> Vector:
    """Return the mask of the rows that training set apart.

    Raises:
        NoTestRows: The table ends before they begin.
        UnknownColumn: The gate names a column that the table does not have.
    """
    require_columns(table, gate)
    is_test = prediction_times(table) > _micros(candidate, "test_after")
    if not is_test.any():
        raise NoTestRows(candidate_id, newest_row=newest(table), test_after=_time(candidate, "test_after"))
    return is_test


def score_rows(
    table: pa.Table, is_test: Vector, *, candidate: Predictor, champion: Predictor | None, gate: GateSpec
) -> TestRows:
    """Score the test rows with the candidate, the champion and the trivial baseline."""
    test, classes = table.filter(is_test), candidate.manifest.classes
    y = labels(table, candidate.manifest.task, classes)
    is_train = prediction_times(table) <= _micros(candidate, "train_until")
    return TestRows(
        y=y[is_test],
        candidate=candidate.predict(test),
        champion=None if champion is None else _champion_scores(champion, test, classes),
        champion_unseen=None if champion is None else prediction_times(test) > _micros(champion, "trained_through"),
        baseline=baseline_scores(table, y, train=is_train, test=is_test, classes=len(classes), gate=gate),
        blocks=block_of_rows(test, gate.block),
        groups=groups_of_rows(test, gate),
    )


def record_reading(run: TrackedRun, test: pa.Table) -> tuple[str, ...]:
    """Write into the run that its test rows are being read, and return what a reader of the verdict should know.

    It is written before the rows are scored: a reading that is broken off counts too.
    """
    times = prediction_times(test)
    first, last = (UNIX_EPOCH + timedelta(microseconds=int(end)) for end in (times.min(), times.max()))
    reads = int(run.tags().get(READS, "0")) + 1
    run.set_tags({READS: str(reads), WINDOW: f"{first.isoformat()}/{last.isoformat()}"})
    notes = [f"the test rows were read {reads} times for this candidate"] if reads > 1 else []
    earlier = sum(start <= last and first <= end for start, end in _earlier_windows(run))
    if earlier:
        notes.append(
            f"{earlier} earlier candidates were judged on rows of this test window; the best of many looks better "
            "than it is"
        )
    return tuple(notes)


def _earlier_windows(run: TrackedRun) -> Sequence[tuple[datetime, datetime]]:
    """Return the test windows that were read for earlier candidates of the same experiment, which is the model's."""
    experiment = run.client.get_run(run.run_id).info.experiment_id
    had_reading = f"tags.`{WINDOW}` != '' and attributes.start_time <= {run.started_ms}"
    others = run.client.search_runs([experiment], had_reading, max_results=MOST_RUNS)
    windows = [other.data.tags[WINDOW].split("/") for other in others if other.info.run_id != run.run_id]
    return [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in windows]


def _champion_scores(champion: Predictor, test: pa.Table, classes: Sequence[str]) -> Vector:
    """Score the rows as production would: a feature that the model's file no longer names is null.

    A class that the champion does not know has the probability 0.
    """
    import numpy as np
    import pyarrow as pa

    for name in champion.features:
        if name not in test.column_names:
            test = test.append_column(name, pa.nulls(test.num_rows))
    scores, known = champion.predict(test), list(champion.manifest.classes)
    if not classes:
        return scores
    unknown = np.zeros(len(scores))
    return np.column_stack([scores[:, known.index(name)] if name in known else unknown for name in classes])


def _time(predictor: Predictor, fact: str) -> datetime:
    return datetime.fromisoformat(predictor.manifest.facts[fact])


def _micros(predictor: Predictor, fact: str) -> int:
    return (_time(predictor, fact) - UNIX_EPOCH) // timedelta(microseconds=1)
