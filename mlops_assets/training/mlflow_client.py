"""An MLflow client whose database exists, also when two processes meet an empty folder at the same moment."""

from __future__ import annotations

import fcntl
import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.settings import silence_telemetry

if TYPE_CHECKING:
    from collections.abc import Generator

    from mlflow import MlflowClient

SQLITE = "sqlite:///"


def open_client(tracking_uri: str) -> MlflowClient:
    """Return a client of the tracking server and of the registry at `tracking_uri`."""
    silence_telemetry()
    from mlflow import MlflowClient

    for noisy in ("mlflow.store.db.utils", "alembic.runtime.migration"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with _creating(tracking_uri):
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


@contextmanager
def _creating(tracking_uri: str) -> Generator[None]:
    """Let one process at a time open a sqlite file: MLflow creates its tables without a lock."""
    if not tracking_uri.startswith(SQLITE):
        yield
        return
    path = Path(tracking_uri.removeprefix(SQLITE))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
