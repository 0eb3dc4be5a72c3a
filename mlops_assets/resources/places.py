"""The places that assets work with: the lake, MLflow, this machine and the online store."""

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from mlops_assets.clock import Clock, open_clock
from mlops_assets.settings import Settings

if TYPE_CHECKING:
    from mlops_assets.features.online.store import OnlineStore
    from mlops_assets.lake.state import StateStore
    from mlops_assets.registry.registry import Registry
    from mlops_assets.training.tracking import Tracking


class LakeResource(dg.ConfigurableResource):
    """Tables, immutable files and small state objects below one root."""

    root: str = Field(description="Absolute path or `s3://` URI; the environment's name is its last part.")

    def state(self) -> "StateStore":
        from mlops_assets.lake.state import open_state

        return open_state(self.root)


class MlflowResource(dg.ConfigurableResource):
    """Experiment tracking and the model registry; never the global active run of `mlflow`."""

    tracking_uri: str = Field(description="Tracking and registry URI.")
    env: str = Field(description="Prefix of experiment and model names.")
    artifact_root: str = Field(description="Where artifacts of new experiments go.")

    def tracking(self) -> "Tracking":
        from mlops_assets.training.tracking import Tracking

        return Tracking(self.tracking_uri, self.env, self.artifact_root)

    def close_abandoned(self, instance: dg.DagsterInstance, model: str | None = None) -> tuple[str, ...]:
        """Close the MLflow runs that nobody will close any more (`training.owner`); return their ids."""
        from mlops_assets.training.owner import close_abandoned

        def has_ended(run_id: str) -> bool:
            run = instance.get_run_by_id(run_id)
            return run is not None and run.is_finished

        return close_abandoned(self.tracking(), has_ended=has_ended, model=model)

    def registry(self) -> "Registry":
        from mlops_assets.registry.registry import MlflowRegistry

        return MlflowRegistry(self.tracking_uri, self.env)


class MachineResource(dg.ConfigurableResource):
    """What belongs to this machine: its clock, scratch space and the servers that run on it."""

    home: str = Field(description="Absolute path of `MLOPS_HOME`.")
    env: str = Field(description="Name of the deployment (`MLOPS_ENV`); servers of another one are not waited for.")
    root: str = Field(
        description="Absolute path of the project: its repository and `uv.lock` are what models are made by."
    )
    dagster_url: str = Field(description="Where a person opens the Dagster UI, for links.")

    @property
    def project(self) -> Path:
        return Path(self.root)

    @property
    def folder(self) -> Path:
        return Path(self.home)

    def clock(self) -> Clock:
        return open_clock(self.folder)

    def scratch(self, run_id: str) -> Path:
        """Return the folder of one run for files that nobody needs after it."""
        return self.folder / "scratch" / run_id


class OnlineResource(dg.ConfigurableResource):
    """The newest feature rows, to be read within a request."""

    url: str = Field(description="sqlite:///folder, redis://host:port/db or dynamodb://table-prefix?region=...")
    env: str = Field(description="Part of every file, key and table.")

    def store(self) -> "OnlineStore":
        from mlops_assets.features.online.places import open_store

        return open_store(self.url, env=self.env)


def build_resources(settings: Settings) -> dict[str, dg.ConfigurableResource]:
    """Bind the resources to the places of one deployment."""
    return {
        "lake": LakeResource(root=settings.lake),
        "mlflow": MlflowResource(
            tracking_uri=_shown(settings.mlflow_uri, "MLFLOW_TRACKING_URI"),
            env=settings.env,
            artifact_root=f"{settings.home}/mlartifacts",
        ),
        "machine": MachineResource(
            home=str(settings.home), env=settings.env, root=str(settings.root), dagster_url=settings.dagster_url
        ),
        "online": OnlineResource(url=_shown(settings.online, "MLOPS_ONLINE_STORE"), env=settings.env),
    }


def _shown(url: str, variable: str) -> str:
    """Return a URL as Dagster may show it: one that could carry a password by the name of its variable."""
    return dg.EnvVar(variable) if "@" in url or "password=" in url else url
