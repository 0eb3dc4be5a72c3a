"""Nothing phones home: each library is asked, in a process of its own, whether it would."""

import os
import subprocess
import sys

import pytest

from mlops_assets.resources.instance import open_instance
from mlops_assets.settings import TELEMETRY_OFF, load_settings
from tests.conftest import ROOT

ASK = {
    "dagster": "from dagster._core.telemetry_upload import is_running_in_test as is_off",
    "dlt": """
from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration
is_off = lambda: not resolve_configuration(RuntimeConfiguration()).dlthub_telemetry""",
    "evidently": "from evidently.telemetry import event_logger; is_off = lambda: not event_logger.is_enabled()",
    "mlflow": "from mlflow.telemetry.utils import is_telemetry_disabled as is_off",
}
SILENCE = "from mlops_assets.settings import silence_telemetry; silence_telemetry()"
# Each library also falls silent under these, which would hide that our own setting does nothing.
SIGNS_OF_A_TEST = {"CI", "PYTEST_CURRENT_TEST", "PYTEST_VERSION", "GITHUB_ACTIONS", "BUILDKITE", "TF_BUILD"}


def is_off(library, *, folder, prelude="", **environ):
    inherited = {name: value for name, value in os.environ.items() if name not in {*TELEMETRY_OFF, *SIGNS_OF_A_TEST}}
    program = f"{prelude}\n{ASK[library]}\nprint(bool(is_off()))"
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=folder, env=inherited | environ, capture_output=True, text=True, check=True)
    return {"True": True, "False": False}[done.stdout.split()[-1]]


@pytest.mark.parametrize("library", ASK)
def test_the_settings_silence_each_library(library, tmp_path):
    assert is_off(library, folder=tmp_path, prelude=SILENCE)


@pytest.mark.parametrize("door", ["mlops_assets.cli.app", "mlops_assets.definitions"])
def test_every_way_into_the_program_goes_through_the_settings(door, tmp_path):
    assert is_off("dlt", folder=tmp_path, prelude=f"import {door}")


def test_a_dlt_source_that_runs_alone_is_silent():
    assert is_off("dlt", folder=ROOT)


@pytest.mark.parametrize(
    "library", ["dagster", "dlt", "evidently"]
)  # a talkative MLflow calls as soon as it is imported
def test_a_library_left_alone_would_talk(library, tmp_path):
    assert not is_off(library, folder=tmp_path)


def test_the_choice_of_a_person_wins(tmp_path):
    assert not is_off("dlt", folder=tmp_path, prelude=SILENCE, RUNTIME__DLTHUB_TELEMETRY="true")


def test_the_instance_tells_dagster_and_its_ui(tmp_path):
    with open_instance(load_settings({}, cwd=tmp_path)) as instance:
        assert not instance.telemetry_enabled
