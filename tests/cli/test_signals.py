"""A command that runs Dagster in its own process ends when it is asked to, however it was started."""

import signal
import subprocess
import sys

import pytest

AFTER_A_RUN = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does to a background job
import dagster as dg
from mlops_assets.cli.services import interruptible

@dg.asset
def one(): ...

with interruptible():
    dg.materialize([one])
    print("ran", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_background_job_ends_when_it_is_asked_to_after_a_run_of_dagster(number):
    command = [sys.executable, "-c", AFTER_A_RUN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ran\n"
            process.send_signal(number)
            _, error = process.communicate(timeout=50)
        finally:
            process.kill()
    assert error.splitlines()[-1] == "KeyboardInterrupt"


def test_what_a_test_starts_ends_when_it_is_asked_to():
    """Of the tests themselves (`conftest.py`): no child inherits that SIGINT or SIGTERM is ignored."""
    command = [sys.executable, "-c", "import signal; print(*map(signal.getsignal, (signal.SIGTERM, signal.SIGINT)))"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.split(maxsplit=1) == [str(int(signal.SIG_DFL)), f"{signal.default_int_handler}\n"]
