"""What nobody needs any more goes by age: training sets, candidates that were never registered, files of rejected versions.

A registered version keeps its training set, its run and its files, unless it was rejected; cards and decisions always stay.
Versions of tables are the business of maintenance, which keeps what the remaining training sets name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from mlops_assets.evaluation.verdict import REFIT
from mlops_assets.features.training_set import DATA, MANIFEST
from mlops_assets.lake.files import list_files, list_folders, remove, stat
from mlops_assets.lake.uris import is_local, join, local_path
from mlops_assets.registry.lifecycle import cards
from mlops_assets.training.candidate import CANDIDATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow import MlflowClient
    from mlflow.entities import Run

    from mlops_assets.lake.state import StateStore
    from mlops_assets.registry.lifecycle import VersionCard
    from mlops_assets.training.tracking import Tracking

Kind = Literal["training set", "run", "files of a rejected version"]
PARENT, TRAINING_SET = "mlflow.parentRunId", "mlops/training_set"
PAGE = 1000


@dataclass(frozen=True)
class Policy:
    """What stays.

    Attributes:
        keep: Younger than this stays, whatever it is: somebody may be at work on it.
        keep_last: So many of the newest of each model stay, however old; at least 1, for the next step of a retraining.
    """

    keep: timedelta
    keep_last: int


@dataclass(frozen=True)
class Expired:
    """Something that nobody needs.

    Attributes:
        files: What is removed, in this order.
        run_id: Run of MLflow that is deleted first.
        changed_at: When it was last wanted.
    """

    kind: Kind
    model: str
    name: str
    files: tuple[str, ...]
    changed_at: datetime
    run_id: str | None = None

    @property
    def bytes(self) -> int:
        return sum(stat(file)[0] for file in self.files)


def expired(lake: str, state: StateStore, tracking: Tracking, policy: Policy, *, now: datetime) -> Iterator[Expired]:
    """Yield what may go, runs before the training sets that only they used."""
    client = tracking.client()
    runs = list(_runs(client, tracking.env))
    models = {model for model, _ in runs} | {
        uri.rpartition("/")[2] for uri in list_folders(join(lake, "training_sets"))
    }
    for model in sorted(models):
        known = cards(state, model)
        mine = [run for name, run in runs if name == model]
        registered = {name for one in known for name in (one.run_id, one.candidate_id)}
        registered |= _in_registry(client, tracking.env, model)
        gone = list(_expired_runs(model, mine, registered, policy, now))
        yield from gone
        yield from _rejected_files(model, known, mine, policy, now)
        names, rejected = {one.name for one in gone}, {one.run_id for one in known if one.status == "rejected"}
        left = [run for run in mine if run.info.lifecycle_stage == "active" and run.info.run_id not in names | rejected]
        used = {run.data.tags.get(TRAINING_SET, "")[:16] for run in left}
        yield from _expired_sets(lake, model, known, used, policy, now)


def drop(found: Expired, tracking: Tracking) -> bool:
    """Remove something; tell whether it was still as old as when it was found.

    Whoever is killed here leaves files that the next retention finds: a run is deleted before its files, and the manifest
    of a training set, without which it is never read, before its rows.
    """
    if found.kind == "training set" and any(stat(file)[1] > found.changed_at for file in found.files):
        return False  # somebody has asked for it since
    if found.run_id is not None:
        tracking.client().delete_run(found.run_id)
    for file in found.files:
        remove(file)
    return True


def _runs(client: MlflowClient, env: str) -> Iterator[tuple[str, Run]]:
    """Yield every run of an environment with its model, deleted ones among them."""
    from mlflow.entities import ViewType

    experiments = client.search_experiments(view_type=ViewType.ALL, max_results=PAGE)
    for one in experiments:
        env_name, _, model = one.name.partition(".")
        if env_name != env or not model:
            continue
        token = None
        while True:
            page = client.search_runs(
                [one.experiment_id], run_view_type=ViewType.ALL, max_results=PAGE, page_token=token
            )
            yield from ((model, run) for run in page)
            token = page.token
            if not token:
                break


def _in_registry(client: MlflowClient, env: str, model: str) -> set[str]:
    """Return the runs of versions in MLflow: one that an older release registered has no card."""
    return {str(one.run_id) for one in client.search_model_versions(f"name='{env}.{model}'", max_results=PAGE)}


def _expired_runs(
    model: str, runs: Sequence[Run], registered: set[str], policy: Policy, now: datetime
) -> Iterator[Expired]:
    roots = sorted((run for run in runs if PARENT not in run.data.tags), key=_ended_at, reverse=True)
    active = [run for run in roots if run.info.lifecycle_stage == "active"]
    kept = {run.info.run_id for run in active[: policy.keep_last]} | registered
    kept |= {run.info.run_id for run in roots if run.info.status in ("RUNNING", "SCHEDULED")}
    for run in runs:
        root = run.data.tags.get(PARENT, run.info.run_id)
        if root in kept or now - _ended_at(run) < policy.keep:
            continue
        files, is_active = tuple(_files(run)), run.info.lifecycle_stage == "active"
        if files or is_active:
            run_id = run.info.run_id
            yield Expired("run", model, run_id, files, _ended_at(run), run_id if is_active else None)


def _rejected_files(
    model: str, known: Sequence[VersionCard], runs: Sequence[Run], policy: Policy, now: datetime
) -> Iterator[Expired]:
    """Yield the saved models of rejected versions; their verdict, report and plots stay."""
    by_id: Mapping[str, Run] = {run.info.run_id: run for run in runs}
    for card in known:
        run = by_id.get(card.run_id)
        if card.status != "rejected" or run is None or now - card.decisions[-1].at < policy.keep:
            continue
        folders = tuple(f"/{name}/" for name in (CANDIDATE, REFIT))
        if files := tuple(file for file in _files(run) if any(part in file for part in folders)):
            yield Expired("files of a rejected version", model, f"{model}@{card.version}", files, card.decisions[-1].at)


def _expired_sets(
    lake: str, model: str, known: Sequence[VersionCard], used: set[str], policy: Policy, now: datetime
) -> Iterator[Expired]:
    needed = {one.lineage.get(TRAINING_SET, "")[:16] for one in known if one.status != "rejected"}
    if "" in needed:
        return  # a version does not say which set is its own
    folders = list_folders(join(lake, "training_sets", model))
    ages = {uri: max(stat(join(uri, name))[1] for name in (MANIFEST, DATA)) for uri in folders}
    newest = sorted(folders, key=ages.__getitem__, reverse=True)[: policy.keep_last]
    for uri in folders:
        name = uri.rpartition("/")[2]
        if uri in newest or name in needed | used or now - ages[uri] < policy.keep:
            continue
        yield Expired("training set", model, name, (join(uri, MANIFEST), join(uri, DATA)), ages[uri])


def _files(run: Run) -> list[str]:
    uri = str(run.info.artifact_uri)
    return list_files(str(local_path(uri)) if is_local(uri) else uri)


def _ended_at(run: Run) -> datetime:
    return datetime.fromtimestamp((run.info.end_time or run.info.start_time) / 1000, UTC)
