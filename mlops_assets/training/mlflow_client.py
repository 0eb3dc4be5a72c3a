"""An MLflow client that waits for its store, and whose database exists, also when two processes meet an empty one."""

from __future__ import annotations

import fcntl
import logging
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, cast

from mlops_assets.settings import silence_telemetry
from mlops_assets.training.patience import PATIENCE_S, Patient, patiently

if TYPE_CHECKING:
    from collections.abc import Generator

    from mlflow import MlflowClient

SQLITE, POSTGRES = "sqlite:///", "postgresql"
CREATING = 469_970_677_875  # number of the lock in PostgreSQL: any will do, if it is always the same
CONNECT_S = 10
REQUEST_S = 30
_filling = Lock()


def open_client(tracking_uri: str, *, patience_s: float = PATIENCE_S) -> MlflowClient:
    """Return a client of the tracking server and of the registry at `tracking_uri`.

    Raises:
        TrackingUnavailable: A database does not answer for `patience_s` seconds; so does every call of the client.
    """
    silence_telemetry()
    from mlflow import MlflowClient
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT

    # one request of MLflow's is one attempt of ours, unless the environment says otherwise
    for variable, value in ((MLFLOW_HTTP_REQUEST_MAX_RETRIES, 0), (MLFLOW_HTTP_REQUEST_TIMEOUT, REQUEST_S)):
        if not variable.is_set():
            variable.set(value)
    create_database(tracking_uri, patience_s=patience_s)
    _fill_registries()
    client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    return cast("MlflowClient", Patient(client, tracking_uri, patience_s))


@cache
def create_database(tracking_uri: str, *, patience_s: float = PATIENCE_S) -> None:
    """Create MLflow's tables, one process at a time: MLflow has no lock of its own. A server has done so itself."""
    if not tracking_uri.startswith((SQLITE, POSTGRES)):
        return
    silence_telemetry()
    from mlflow import MlflowClient

    for noisy in ("mlflow.store.db.utils", "alembic.runtime.migration"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)  # what goes wrong is raised as well
    with _sqlite_lock(tracking_uri) if tracking_uri.startswith(SQLITE) else _postgres_lock(tracking_uri, patience_s):
        patiently(lambda: MlflowClient(tracking_uri=tracking_uri), tracking_uri, patience_s=patience_s)


def _fill_registries() -> None:
    """Let MLflow list its kinds of model registry, one thread at a time: others would be shown the list half filled."""
    from mlflow.tracking._model_registry.utils import _get_store_registry  # pyright: ignore[reportPrivateUsage]

    with _filling:
        _get_store_registry()


@contextmanager
def _sqlite_lock(tracking_uri: str) -> Generator[None]:
    path = Path(tracking_uri.removeprefix(SQLITE))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _postgres_lock(tracking_uri: str, patience_s: float) -> Generator[None]:
    """Hold an advisory lock of the database; it goes with the connection, whatever way this process ends."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(
        tracking_uri, poolclass=sqlalchemy.NullPool, connect_args={"connect_timeout": CONNECT_S}
    )
    with patiently(engine.connect, tracking_uri, patience_s=patience_s) as connection:
        connection.exec_driver_sql(f"select pg_advisory_lock({CREATING})")
        yield
