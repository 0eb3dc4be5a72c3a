"""The Dagster instance of this machine: its configuration file and the way to open it."""

from contextlib import suppress
from pathlib import Path

import dagster as dg

from mlops_assets.settings import Settings

TEMPLATE = Path(__file__).with_name("instance.yaml")


def prepare_instance(dagster_home: Path) -> None:
    """Write `dagster.yaml` into `dagster_home`; a file that is there already belongs to the user and stays."""
    dagster_home.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), (dagster_home / "dagster.yaml").open("x", encoding="utf-8") as file:
        file.write(TEMPLATE.read_text(encoding="utf-8"))


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Open the persistent instance of `settings.dagster_home`, preparing it on first use."""
    prepare_instance(settings.dagster_home)
    return dg.DagsterInstance.from_config(str(settings.dagster_home))
