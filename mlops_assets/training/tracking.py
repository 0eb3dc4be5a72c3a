"""Runs of MLflow, each held by its id: nothing is global, so two runs of one process never mix.

Add here: finding and opening runs. Keep out: what is written to one (`tracked_run`).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.training.mlflow_client import open_client
from mlops_assets.training.patience import PATIENCE_S, without_secrets
from mlops_assets.training.tracked_run import TrackedRun, opened_run, tracked

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from mlflow import MlflowClient

    from mlops_assets.settings import Settings

NO_SUCH_RUN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the second: it is no id at all


class RunNotFound(MlopsError):
    """The tracking store has no such run."""

    def __init__(self, run_id: str, tracking_uri: str) -> None:
        super().__init__(
            f"MLflow run {run_id}",
            found=f"no such run in {without_secrets(tracking_uri)}",
            required="a run written by the asset `candidate`",
            remedy="Check the candidate id and `MLFLOW_TRACKING_URI`, or train a new candidate.",
        )


@dataclass(frozen=True)
class Tracking:
    """Where runs are kept.

    Attributes:
        artifact_root: Folder of all artefacts: an absolute path or an `s3://` URI.
        ui_url: Where a person opens the MLflow UI, for links.
        patience_s: How long a store may be down before a call of it fails.
    """

    tracking_uri: str
    env: str
    artifact_root: str
    ui_url: str = "http://127.0.0.1:5000"
    patience_s: float = PATIENCE_S

    def client(self) -> MlflowClient:
        """Return MLflow's client, which waits for the store; see `open_client`."""
        return open_client(self.tracking_uri, patience_s=self.patience_s)

    @contextmanager
    def run(self, model: str, *, tags: Mapping[str, str]) -> Generator[TrackedRun]:
        """Open a run of a model and close it whatever happens: FINISHED, FAILED (error) or KILLED (interrupted)."""
        client = self.client()
        experiment_id = self._experiment(client, f"{self.env}.{model}")
        with opened_run(client, experiment_id, tags=tags, pages=self._pages(experiment_id)) as run:
            yield run

    def open_run(self, run_id: str) -> TrackedRun:
        """Return a run that exists, open or closed; more can be logged to it.

        Raises:
            RunNotFound: The store has no such run.
        """
        client = self.client()
        from mlflow.exceptions import MlflowException

        try:
            found = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in NO_SUCH_RUN:
                raise
            raise RunNotFound(run_id, self.tracking_uri) from error
        return tracked(client, found, pages=self._pages(found.info.experiment_id))

    def _pages(self, experiment_id: str) -> str:
        base = without_secrets(self.tracking_uri) if self.tracking_uri.startswith("http") else self.ui_url
        return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs"

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
        if found.lifecycle_stage == "deleted":  # by hand, in the UI; MLflow keeps the name for ever
            client.restore_experiment(found.experiment_id)
        return found.experiment_id


def open_tracking(settings: Settings) -> Tracking:
    """Return the runs of a deployment."""
    return Tracking(settings.mlflow_uri, settings.env, f"{settings.home}/mlartifacts")
