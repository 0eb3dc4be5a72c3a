"""What CI=true makes of tests that are left out, tried on a small suite under the real conftest."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PASSING = "def test_passes(): pass\n"
SKIPPED = "import pytest\n@pytest.mark.{marker}\ndef test_needs_it(): pytest.skip('no server')\n"
WHOLE_MODULE = "import pytest\npytest.skip('not today', allow_module_level=True)\n"


@pytest.fixture
def run_suite(tmp_path):
    """Run a suite of the given files in a checkout of its own; return the exit code and the output."""

    def run(*files, ci):
        suite = tmp_path / "tests"
        suite.mkdir()
        shutil.copy(ROOT / "tests" / "conftest.py", suite)
        shutil.copy(ROOT / "pytest.ini", tmp_path)
        for number, text in enumerate(files):
            (suite / f"test_{number}.py").write_text(text)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests"]
        environ = {**os.environ, "CI": "true" if ci else "false"}
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    return run


@pytest.mark.parametrize("ci", [False, True])
def test_a_required_test_may_be_left_out_only_outside_ci(run_suite, ci):
    markers = ["service", "browser", "extra"]

    code, output = run_suite(PASSING, *(SKIPPED.format(marker=marker) for marker in markers), ci=ci)

    assert code == ci
    assert ("3 failed, 1 passed" if ci else "1 passed, 3 skipped") in output
    for marker in markers:
        assert (f"is marked {marker}: required when CI=true, but skipped" in output) == ci


def test_another_test_may_be_left_out_in_ci(run_suite):
    code, output = run_suite(PASSING, SKIPPED.format(marker="slow"), ci=True)

    assert (code, "1 passed, 1 skipped" in output) == (0, True)


def test_a_module_may_not_leave_itself_out_in_ci(run_suite):
    code, output = run_suite(PASSING, WHOLE_MODULE, ci=True)

    assert code != 0
    assert "left itself out as a whole" in output


@pytest.mark.parametrize("files", [(), (SKIPPED.format(marker="slow"),)])
def test_a_ci_run_without_a_test_fails(run_suite, files):
    code, output = run_suite(*files, ci=True)

    assert (code, "No test ran." in output) == (5, True)


def test_litter_in_the_checkout_fails_ci(run_suite):
    code, output = run_suite("from pathlib import Path\ndef test_writes(): Path('mlflow.db').touch()\n", ci=True)

    assert code == 1
    assert "Tests left files in the checkout: mlflow.db" in output
