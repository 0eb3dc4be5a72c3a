"""Runs of MLflow, each held by its id: nothing is global, so two runs of one process never mix.

Add here: what a stage writes to or reads from a run. Keep out: what it means.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.lake.files import read_bytes
from mlops_assets.lake.uris import is_local, join, local_path, scheme
from mlops_assets.training.mlflow_client import open_client

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from mlflow import MlflowClient
    from mlflow.entities import Run

METRICS_PER_CALL, PARAMS_PER_CALL = 1000, 100  # limits of MLflow's log_batch


class RunNotFound(MlopsError):
    """The tracking store has no such run."""

    def __init__(self, run_id: str, tracking_uri: str) -> None:
        super().__init__(
            f"MLflow run {run_id}",
            found=f"no such run in {tracking_uri}",
            required="a run written by the asset `candidate`",
            remedy="Check the candidate id and `MLFLOW_TRACKING_URI`, or train a new candidate.",
        )


@dataclass(frozen=True)
class Tracking:
    """Where runs are kept.

    Attributes:
        artifact_root: Folder of all artefacts: an absolute path or an `s3://` URI.
        ui_url: Where a person opens the MLflow UI, for links.
    """

    tracking_uri: str
    env: str
    artifact_root: str
    ui_url: str = "http://127.0.0.1:5000"

    @contextmanager
    def run(self, model: str, *, tags: Mapping[str, str]) -> Generator[TrackedRun]:
        """Open a run of a model and close it whatever happens: FINISHED, FAILED (error) or KILLED (interrupted)."""
        client = open_client(self.tracking_uri)
        created = client.create_run(self._experiment(client, f"{self.env}.{model}"), tags=dict(tags))
        run, status = self._tracked(client, created), "KILLED"
        try:
            yield run
            status = "FINISHED"
        except Exception:
            status = "FAILED"
            raise
        finally:
            client.set_terminated(run.run_id, status)

    def open_run(self, run_id: str) -> TrackedRun:
        """Return a run that exists, open or closed; more can be logged to it.

        Raises:
            RunNotFound: The store has no such run.
        """
        client = open_client(self.tracking_uri)
        from mlflow.exceptions import MlflowException

        try:
            return self._tracked(client, client.get_run(run_id))
        except MlflowException as error:
            raise RunNotFound(run_id, self.tracking_uri) from error

    def _tracked(self, client: MlflowClient, run: Run) -> TrackedRun:
        info = run.info
        base = self.tracking_uri if self.tracking_uri.startswith("http") else self.ui_url
        url = f"{base.rstrip('/')}/#/experiments/{info.experiment_id}/runs/{info.run_id}"
        uri = str(info.artifact_uri)
        root = str(local_path(uri)) if is_local(uri) else uri
        return TrackedRun(client, info.run_id, root, url, started_ms=info.start_time)

    def _experiment(self, client: MlflowClient, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return client.create_experiment(name, artifact_location=f"{self.artifact_root.rstrip('/')}/{name}")
            except MlflowException:  # another process was first
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
        return found.experiment_id


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

    def set_tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        for batch in _batches([RunTag(name, str(value)) for name, value in tags.items()], PARAMS_PER_CALL):
            self.client.log_batch(self.run_id, tags=batch)

    def tags(self) -> dict[str, str]:
        return dict(self.client.get_run(self.run_id).data.tags)

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
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            self.log_folder(Path(folder))

    def read_bytes(self, name: str) -> bytes | None:
        """Read one artefact; None if the run has none of that name."""
        try:
            return read_bytes(self.artifact_uri(name))
        except FileNotFoundError:
            return None

    def artifact_uri(self, path: str) -> str:
        """Return where an artefact is: a plain absolute path or an `s3://` URI."""
        return join(self.root, path)


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
