"""`mlops rebuild`: a version made again by a process that knows nothing but its lineage."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from mlops_assets.cli.checkout import Checkout, NoCheckout, checked_out
from mlops_assets.cli.places import defs_folder
from mlops_assets.errors import MlopsError
from mlops_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from mlops_assets.registry.lifecycle import VersionCard


class RebuildBroke(MlopsError):
    """The process that made a version again came to no answer."""

    def __init__(self, reference: str, code: int, said: str) -> None:
        super().__init__(
            f"{reference}, made again in a process of its own",
            found=said.strip() or f"exit code {code}",
            required="an answer",
            remedy="If it names no remedy, the code of that commit may have no `mlops rebuild` yet: leave `--checkout` out.",
        )


def rebuild_and_print(reference: str, *, checkout: bool, as_json: bool, defs: Path | None) -> int:
    """Make a version again in a clean process, print what it found, and return the exit code.

    Raises:
        NoCheckout: The recorded commit cannot be brought back.
        RebuildBroke: The process came to no answer.
    """
    settings, card = load_settings(), _card(reference)
    exact = f"{card.name}@{card.version}"
    if checkout:
        with checked_out(settings.root, _commit(card)) as place:
            answer = _ask(exact, place, settings, _moved(defs, settings.root, place.folder))
    else:
        answer = _ask(exact, Checkout(settings.root, sys.executable), settings, defs)
    if answer["identical"]:
        _record(card, settings, answer)
    typer.echo(json.dumps(answer, indent=2)) if as_json else _show(answer)
    return 0 if answer["identical"] else 1


def rebuild_here(reference: str, defs: Path | None) -> None:
    """Make a version again in this process, and print the answer as JSON.

    Raises:
        MlopsError: See `registry.rebuild`.
    """
    from mlops_assets.assets.model import resolve_model
    from mlops_assets.components.catalog import UnknownDefinition, read_catalog
    from mlops_assets.registry.rebuild.rebuild import rebuild
    from mlops_assets.training.provenance import code_facts

    settings, card = load_settings(), _card(reference)
    try:
        model = resolve_model(read_catalog(defs_folder(defs)), card.name)
    except UnknownDefinition:
        model = None
    spec = model.spec.model_dump(mode="json") if model else {}
    found = rebuild(
        card,
        definition=model.definition() if model else None,
        present=code_facts(settings.root, spec, dagster_run=""),
        lake=settings.lake,
    )
    typer.echo(json.dumps({"identical": found.is_identical, "sentence": found.sentence, **asdict(found)}))


def _card(reference: str) -> "VersionCard":
    from mlops_assets.lake.state import open_state
    from mlops_assets.registry.reference import find_version, split_reference
    from mlops_assets.rollout.roles import roles

    state, (model, wanted) = open_state(load_settings().lake), split_reference(reference)
    return find_version(state, model, wanted, roles(state, model))


def _commit(card: "VersionCard") -> str:
    from mlops_assets.registry.rebuild.recorded import read_recorded
    from mlops_assets.training.provenance import UNKNOWN

    commit = str(read_recorded(card).facts.get("commit", UNKNOWN))
    if commit == UNKNOWN:
        raise NoCheckout(
            UNKNOWN,
            found=f"no commit recorded for {card.name}@{card.version}",
            required="one",
            remedy="It was trained outside a git repository. Leave `--checkout` out.",
        )
    return commit


def _moved(defs: Path | None, root: Path, folder: Path) -> Path | None:
    """Return the folder of definition files as the checkout has it, if it is one of the project's."""
    if defs is None or not defs.resolve().is_relative_to(root):
        return defs
    return folder / defs.resolve().relative_to(root)


def _ask(reference: str, place: Checkout, settings: Settings, defs: Path | None) -> dict[str, Any]:
    command = [place.python, "-m", "mlops_assets.cli.app", "rebuild", reference, "--here"]
    done = subprocess.run(
        [*command, *(["--defs", str(defs.resolve())] if defs else [])],
        cwd=place.folder,
        env={**os.environ, **_places(settings)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RebuildBroke(reference, done.returncode, done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def _places(settings: Settings) -> Mapping[str, str]:
    """Return the variables that let another checkout use the lake and the MLflow of this one."""
    return {
        "MLOPS_HOME": str(settings.home),
        "MLOPS_ENV": settings.env,
        "MLOPS_LAKE": settings.lake.removesuffix(f"/{settings.env}"),
        "MLFLOW_TRACKING_URI": settings.mlflow_uri,
        "DAGSTER_HOME": str(settings.dagster_home),
    }


def _record(card: "VersionCard", settings: Settings, answer: Mapping[str, Any]) -> None:
    """Note on the version that it was made again, and what came out."""
    from mlops_assets.clock import open_clock
    from mlops_assets.lake.state import open_state
    from mlops_assets.registry.lifecycle import REBUILT, mark
    from mlops_assets.registry.registry import MlflowRegistry

    at = open_clock(settings.home).now().isoformat()
    mark(open_state(settings.lake), card.name, card.version, REBUILT, f"{at}: {answer['sentence']}")
    registry = MlflowRegistry(settings.mlflow_uri, settings.env)
    registry.set_tags(card.name, card.version, {"mlops/rebuilt_at": at, "mlops/rebuilt": answer["sentence"]})


def _show(answer: Mapping[str, Any]) -> None:
    console = Console()
    for title in ("inputs", "outputs"):
        table = Table("", "recorded", "present", "", title=title, title_justify="left")
        for one in answer[title]:
            says = "same" if one["recorded"] == one["present"] else "differs"
            table.add_row(one["name"], one["recorded"], one["present"], says if one["recorded"] else "not recorded")
        console.print(table) if table.row_count else None
    console.print(f"training set: {answer['training_set']}\n{answer['sentence']}", soft_wrap=True, highlight=False)
