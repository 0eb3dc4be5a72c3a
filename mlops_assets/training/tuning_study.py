"""Where the trials of a search are kept, and who may add to them: one process at a time, so what runs is known to live.

A search that was killed leaves trials that run for ever. Nothing has to be guessed from the age of a heartbeat: whoever
holds the lock of a study knows that every unfinished trial in it is dead.
"""

from __future__ import annotations

import fcntl
import logging
import warnings
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.settings import SQLITE
from mlops_assets.training.provenance import spec_sha256

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial
    from sqlalchemy import Engine

SCHEMA = "optuna"  # beside MLflow's own tables: both libraries keep a table `alembic_version`
BUSY_SECONDS = 60  # how long a trial waits for the transaction of another one in the same file
ERROR = "error"


class StudyInUse(MlopsError):
    """Another process searches in the same study."""

    def __init__(self, name: str, storage: str) -> None:
        super().__init__(
            f"tuning study {name}",
            found=f"another process that holds it in {storage}",
            required="one search at a time",
            remedy="Wait for the other run, or stop it; what it has tried so far is kept.",
        )


def storage_of(tracking_uri: str, *, folder: Path) -> str:
    """Return the URL of the trials: MLflow's database when that is PostgreSQL, else a sqlite file of the model's own.

    Args:
        folder: Where the file goes, with its name but for the suffix.
    """
    return tracking_uri if tracking_uri.startswith("postgresql") else f"{SQLITE}{folder}.db"


def study_name_of(model: str, decisive: Mapping[str, Any]) -> str:
    """Return a name that another training set, recipe, space or library does not share.

    Args:
        decisive: All that decides the values of the trials, as JSON can hold it.
    """
    libraries = {name: version(name) for name in ("optuna", "scikit-learn", "xgboost")}
    return f"{model}-{spec_sha256({**decisive, 'libraries': libraries})[:16]}"


@contextmanager
def held_study(storage: str, name: str, *, direction: str) -> Generator[Study]:
    """Open a study, new or former, that no other process adds to meanwhile; no trial in it is left unfinished.

    Raises:
        StudyInUse: Another process holds it.
    """
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    opened = _sqlite if storage.startswith(SQLITE) else _postgres
    with ExitStack() as stack:
        rdb = stack.enter_context(opened(storage, name))
        study = optuna.create_study(study_name=name, storage=rdb, direction=direction, load_if_exists=True)
        _fail_unfinished(study)
        stack.callback(_fail_unfinished, study)
        yield study


def was_killed(trial: FrozenTrial) -> bool:
    """Tell whether a trial was cut off; one that failed by itself says why, and counts."""
    from optuna.trial import TrialState

    return trial.state == TrialState.FAIL and ERROR not in trial.user_attrs


def value_of(trial: FrozenTrial) -> float | None:
    """Return the metric of a trial that ran through; of one given up, Optuna keeps the last loss in its place."""
    from optuna.trial import TrialState

    return trial.value if trial.state == TrialState.COMPLETE else None


def _fail_unfinished(study: Study) -> None:
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False):
        if not trial.state.is_finished():
            study.tell(trial.number, state=TrialState.FAIL)


@contextmanager
def _sqlite(storage: str, name: str) -> Generator[RDBStorage]:
    path = Path(storage.removeprefix(SQLITE))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StudyInUse(name, str(path)) from error
        with _opened(storage, {"timeout": BUSY_SECONDS}) as rdb:
            yield rdb


@contextmanager
def _postgres(storage: str, name: str) -> Generator[RDBStorage]:
    """Lock by two connections that do nothing else: PostgreSQL frees a lock when its connection dies."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(storage, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with ExitStack() as stack:
        with _advisory_lock(engine, SCHEMA, wait=True), engine.connect() as connection:
            connection.exec_driver_sql(f"create schema if not exists {SCHEMA}")
            rdb = stack.enter_context(_opened(storage, {"options": f"-csearch_path={SCHEMA}"}))
        if not stack.enter_context(_advisory_lock(engine, name, wait=False)):
            raise StudyInUse(name, f"{engine.url.host}/{engine.url.database}")
        yield rdb


@contextmanager
def _advisory_lock(engine: Engine, name: str, *, wait: bool) -> Generator[bool]:
    import sqlalchemy

    call = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
    with engine.connect() as connection:
        held = connection.scalar(
            sqlalchemy.text(f"select {call}(hashtextextended(:name, 0))"), {"name": f"mlops {name}"}
        )
        yield held is not False


@contextmanager
def _opened(storage: str, connect_args: dict[str, object]) -> Generator[RDBStorage]:
    from optuna.storages import RDBStorage

    rdb = RDBStorage(storage, engine_kwargs={"connect_args": connect_args})
    try:
        yield rdb
    finally:
        rdb.scoped_session.remove()
        rdb.engine.dispose()
