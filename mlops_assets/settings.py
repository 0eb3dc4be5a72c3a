"""Where this deployment keeps its things: read once from the environment, absolute from then on."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlops_assets.errors import MlopsError

# Nothing phones home. Set before any of these libraries is imported; a person's own choice wins.
TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",  # evidently
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "SAGEMAKER_TELEMETRY_OPT_OUT": "true",
}

SQLITE = "sqlite:///"


class UnknownProfile(MlopsError):
    """`MLOPS_PROFILE` names a profile that does not exist."""

    def __init__(self, found: str) -> None:
        super().__init__(
            "MLOPS_PROFILE", found=repr(found), required="'local' or 'aws'", remedy="Correct the variable."
        )


@dataclass(frozen=True)
class Settings:
    """Absolute places and names.

    Attributes:
        root: Folder of `workspace.yaml`.
        home: Local state of this machine (`MLOPS_HOME`).
        env: Deployment name that prefixes the lake, MLflow names and routing (`MLOPS_ENV`).
        lake: Root of all tables and state of this `env`: an absolute path or an `s3://` URI.
        profile: `local` or `aws`.
        mlflow_uri: MLflow tracking and registry URI.
        dagster_home: Folder of `dagster.yaml`.
        online: URL of the online store, which keeps each `env` apart (`MLOPS_ONLINE_STORE`).
        dagster_url: Where a person opens the Dagster UI, for links (`MLOPS_DAGSTER_URL`).
    """

    root: Path
    home: Path
    env: str
    lake: str
    profile: Literal["local", "aws"]
    mlflow_uri: str
    dagster_home: Path
    online: str
    dagster_url: str


def find_root(start: Path) -> Path:
    """Return the nearest folder at or above `start` that holds `workspace.yaml`, else `start`."""
    return next((folder for folder in [start, *start.parents] if (folder / "workspace.yaml").exists()), start)


def load_settings(environ: Mapping[str, str] = os.environ, *, cwd: Path | None = None) -> Settings:
    """Read the settings; relative paths count from the folder of `workspace.yaml`.

    Raises:
        UnknownProfile: `MLOPS_PROFILE` is neither `local` nor `aws`.
    """
    root = find_root((cwd or Path.cwd()).resolve())
    home = root / environ.get("MLOPS_HOME", ".mlops")
    env = environ.get("MLOPS_ENV", "dev")
    profile = environ.get("MLOPS_PROFILE", "local")
    if profile not in ("local", "aws"):
        raise UnknownProfile(profile)
    lake = environ.get("MLOPS_LAKE") or str(home / "lake")
    if "://" not in lake:
        lake = str(root / lake)
    return Settings(
        root=root,
        home=home,
        env=env,
        lake=f"{lake.rstrip('/')}/{env}",
        profile=profile,
        mlflow_uri=environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}",
        dagster_home=root / environ.get("DAGSTER_HOME", str(home / "dagster")),
        online=_online(environ.get("MLOPS_ONLINE_STORE") or f"{SQLITE}{home / 'online'}", root),
        dagster_url=environ.get("MLOPS_DAGSTER_URL", "http://127.0.0.1:3000").rstrip("/"),
    )


def _online(url: str, root: Path) -> str:
    """Return the URL with the path of a sqlite folder made absolute; `sqlite:///x` is relative, `sqlite:////x` is not."""
    return f"{SQLITE}{root / url.removeprefix(SQLITE)}" if url.startswith(SQLITE) else url


def keep_time_zones() -> None:
    """Let Arrow respect time zones, whatever a library wishes for: importing pandera makes it forget them in the whole process.

    A time in Oslo would become the same wall clock in UTC, and DuckDB's filters on Arrow tables would miss rows.
    """
    os.environ["PYARROW_IGNORE_TIMEZONE"] = ""


def silence_telemetry() -> None:
    """Turn the telemetry of every library off, unless the environment already says otherwise."""
    for name, value in TELEMETRY_OFF.items():
        os.environ.setdefault(name, value)
