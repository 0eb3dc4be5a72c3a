"""A shop as earlier steps left it, put back instead of made again: training weeks and first versions that many tests begin with.

What is made names absolute paths (a card its model, MLflow its artefacts), and Dagster and MLflow hold their databases
open. So the shops of a test process live at one path, one after the other, and a database is put back by SQLite itself.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from mlops_assets.training.mlflow_client import create_database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import dagster as dg

MLFLOW = "mlflow.db"


@dataclass(frozen=True)
class Kept:
    """What there was after some steps.

    Attributes:
        home: Copy of the home.
        instance: Copies of the databases of an instance in memory; one on disk is in the home.
    """

    home: Path
    instance: tuple[sqlite3.Connection, ...]


_kept: dict[str, Kept] = {}


@cache
def empty_mlflow(place: Path) -> Path:
    """Return a database of MLflow's with all its tables, in a folder for copies: creating them takes a second."""
    path = place / "kept" / MLFLOW
    create_database(f"sqlite:///{path}")
    return path


def make_home(folder: Path) -> Path:
    """Return a new home in `folder`; of an earlier shop nothing stays there."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    _empty(folder, but=home)
    _empty(home, but=home / MLFLOW)
    _copy_database(empty_mlflow(folder.parent), home / MLFLOW)
    return home


def once(step: str, home: Path, instance: dg.DagsterInstance, make: Callable[[], object]) -> None:
    """Make something of a new home, or put back what the same step made of the same files before.

    Args:
        step: Name of what is made.
        home: Its folder has everything that the step reads besides.
    """
    key = f"{step} {home} {_digest(home)}"
    if key in _kept:
        _put_back(_kept[key], home, instance)
        return
    make()
    copy = home.parents[1] / "kept" / str(len(_kept))
    shutil.copytree(home, copy)
    _kept[key] = Kept(copy, tuple(_copied(one) for one in _databases(instance)))


def _digest(home: Path) -> str:
    """Return a hash of the files beside the home: definitions and what the sources read."""
    digest = hashlib.sha256()
    for file in sorted(home.parent.rglob("*")):
        if file.is_file() and not file.is_relative_to(home):
            digest.update(f"{file} {file.stat().st_size} ".encode() + file.read_bytes())
    return digest.hexdigest()


def _put_back(kept: Kept, home: Path, instance: dg.DagsterInstance) -> None:
    _empty(home, but=home / MLFLOW)
    shutil.copytree(kept.home, home, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MLFLOW))
    _copy_database(kept.home / MLFLOW, home / MLFLOW)
    for copy, database in zip(kept.instance, _databases(instance), strict=True):
        copy.backup(database)


def _empty(folder: Path, *, but: Path) -> None:
    for path in set(folder.iterdir()) - {but}:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _databases(instance: dg.DagsterInstance) -> list[sqlite3.Connection]:
    """Return the connections that keep an instance in memory alive."""
    if not instance.is_ephemeral:
        return []
    return [one._held_conn.connection.driver_connection for one in (instance.run_storage, instance.event_log_storage)]


def _copied(database: sqlite3.Connection) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:")
    database.backup(copy)
    return copy


def _copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)
