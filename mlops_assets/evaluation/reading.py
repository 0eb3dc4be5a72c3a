"""The test window is a resource that wears out: how often it was read, for this candidate and for those before it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlops_assets.training.split import UNIX_EPOCH, prediction_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from mlops_assets.training.tracking import TrackedRun

READS, WINDOW = "mlops/test_reads", "mlops/test_window"
MOST_RUNS = 1000


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
