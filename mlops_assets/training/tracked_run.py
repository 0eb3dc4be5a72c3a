"""One run of MLflow, held by its id: what is written to it can land in no other.

Add here: what a stage writes to or reads from a run. Keep out: what it means, and how a run is found (`tracking`).
"""

from __future__ import annotations

import tempfile
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.lake.files import read_bytes
from mlops_assets.lake.uris import is_local, join, local_path, scheme
from mlops_assets.training.owner import owner_tags
from mlops_assets.training.patience import TrackingUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from mlflow import MlflowClient
    from mlflow.entities import Run

METRICS_PER_CALL, PARAMS_PER_CALL = 1000, 100  # limits of MLflow's log_batch
RUN_NAME, PARENT_RUN_ID = "mlflow.runName", "mlflow.parentRunId"


@dataclass(frozen=True)
class TrackedRun:
    """One run. Its id is the candidate id.

    Attributes:
        root: Where its artefacts are: a plain absolute path or an `s3://` URI.
        url: Its page in the MLflow UI.
    """

    client: MlflowClient
    run_id: str
    root: str
    url: str
    started_ms: int
    experiment_id: str = ""

    @contextmanager
    def child(self, name: str, *, tags: Mapping[str, str]) -> Generator[TrackedRun]:
        """Open a run below this one, such as a trial of tuning, and close it like `Tracking.run` does."""
        nested = {**tags, RUN_NAME: name, PARENT_RUN_ID: self.run_id}
        pages = self.url.removesuffix(f"/{self.run_id}")
        with opened_run(self.client, self.experiment_id, tags=nested, pages=pages) as run:
            yield run

    def log_params(self, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        for batch in _batches([Param(name, str(value)) for name, value in params.items()], PARAMS_PER_CALL):
            self.client.log_batch(self.run_id, params=batch)

    def log_metrics(self, metrics: Mapping[str, float | Sequence[float]]) -> None:
        """Log numbers; a sequence is a curve, one step per value. All carry the time at which the run started."""
        from mlflow.entities import Metric

        series = {name: [value] if isinstance(value, int | float) else value for name, value in metrics.items()}
        points = [
            Metric(name, float(value), self.started_ms, step)
            for name, values in series.items()
            for step, value in enumerate(values)
        ]
        for batch in _batches(points, METRICS_PER_CALL):
            self.client.log_batch(self.run_id, metrics=batch)

    @contextmanager
    def timed(self, name: str) -> Generator[None]:
        """Log how long the block took: `<name>_wall_s`, and `<name>_cpu_s` of all threads of the process."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        took = {f"{name}_wall_s": time.perf_counter() - wall, f"{name}_cpu_s": time.process_time() - cpu}
        self.log_metrics(took)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        for batch in _batches([RunTag(name, str(value)) for name, value in tags.items()], PARAMS_PER_CALL):
            self.client.log_batch(self.run_id, tags=batch)

    def tags(self) -> dict[str, str]:
        return dict(self.client.get_run(self.run_id).data.tags)

    def metrics(self) -> dict[str, float]:
        """Return the last value of each metric."""
        return dict(self.client.get_run(self.run_id).data.metrics)

    def log_dataset(self, name: str, *, digest: str, uri: str) -> None:
        """Name the data that the run read; MLflow keeps 36 characters of the digest."""
        from mlflow.entities import Dataset, DatasetInput

        dataset = Dataset(name, digest[:36], "local" if is_local(uri) else scheme(uri), uri)
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, [])])

    def log_folder(self, folder: Path, artifact_path: str | None = None) -> None:
        """Copy everything inside `folder` to the run's artefacts, under `artifact_path`."""
        self.client.log_artifacts(self.run_id, str(folder), artifact_path)

    def log_bytes(self, name: str, data: bytes) -> None:
        """Write one artefact; `name` may have folders."""
        folder, _, file = name.rpartition("/")
        self.log_files(folder or None, {file: data})

    def log_files(self, folder: str | None, files: Mapping[str, bytes]) -> None:
        """Write artefacts by name below one folder of the run, in one upload."""
        with tempfile.TemporaryDirectory() as draft:
            for name, data in files.items():
                Path(draft, name).write_bytes(data)
            self.log_folder(Path(draft), folder)

    def read_bytes(self, name: str) -> bytes | None:
        """Read one artefact; None if the run has none of that name."""
        try:
            return read_bytes(self.artifact_uri(name))
        except FileNotFoundError:
            return None

    def artifact_uri(self, path: str) -> str:
        """Return where an artefact is: a plain absolute path or an `s3://` URI."""
        return join(self.root, path)


@contextmanager
def opened_run(
    client: MlflowClient, experiment_id: str, *, tags: Mapping[str, str], pages: str
) -> Generator[TrackedRun]:
    """Open a run and close it whatever happens: FINISHED, FAILED (error) or KILLED (interrupted).

    A run that cannot be closed, since its process is killed or its store is gone, is left to `owner.close_abandoned`.
    """
    created = client.create_run(experiment_id, tags={**owner_tags(), **tags})
    run = tracked(client, created, pages=pages)
    try:
        yield run
    except TrackingUnavailable:
        raise  # it would not hear of the end either
    except BaseException as error:
        _close(run, "FAILED" if isinstance(error, Exception) else "KILLED", error)
        raise
    client.set_terminated(run.run_id, "FINISHED")


def _close(run: TrackedRun, status: str, error: BaseException) -> None:
    """Close a run after an error, which stays the one that is raised."""
    if not isinstance(error, Exception):  # it may have stopped a read of a database file, whose lock the frames hold
        traceback.clear_frames(error.__traceback__)
    try:
        run.client.set_terminated(run.run_id, status)
    except Exception as second:  # noqa: BLE001  whatever it is, the first error says more
        error.add_note(f"MLflow run {run.run_id} stays open: {second}")


def tracked(client: MlflowClient, run: Run, *, pages: str) -> TrackedRun:
    """Hold a run that exists.

    Args:
        pages: Where a browser finds the runs of its experiment.
    """
    info, uri = run.info, str(run.info.artifact_uri)
    root = str(local_path(uri)) if is_local(uri) else uri
    return TrackedRun(client, info.run_id, root, f"{pages}/{info.run_id}", info.start_time, info.experiment_id)


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
