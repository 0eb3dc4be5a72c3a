"""The rules of every test: own places to write to, the same examples in each CI run, and nothing required left out there."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from mlops_assets.settings import silence_telemetry

ROOT = Path(__file__).parents[1]
IN_CI = os.environ.get("CI") == "true"
REQUIRED_IN_CI = ("service", "browser", "extra")
PLACES = (
    "MLOPS_HOME",
    "MLOPS_ENV",
    "MLOPS_LAKE",
    "MLOPS_PROFILE",
    "MLOPS_ONLINE_STORE",
    "MLFLOW_TRACKING_URI",
    "DAGSTER_HOME",
)
HOME = pytest.StashKey[Path]()
CHECKOUT = pytest.StashKey[set[str]]()

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if IN_CI else "local")


def pytest_configure(config):
    """Give each test process a home of its own: no test writes to the checkout or to the places of the person."""
    silence_telemetry()
    _hear_signals()
    for name in PLACES:
        os.environ.pop(name, None)
    config.stash[HOME] = Path(tempfile.mkdtemp(prefix="mlops-tests-"))
    config.stash[CHECKOUT] = _visible_names()
    os.environ["MLOPS_HOME"] = str(config.stash[HOME])


def pytest_unconfigure(config):
    shutil.rmtree(config.stash[HOME], ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Put the files that take longest first, so that at the end no process waits for another one's long test."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path.parent.name != "e2e", item.path not in slow))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    required = [name for name in REQUIRED_IN_CI if item.get_closest_marker(name)]
    if IN_CI and report.skipped and required and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} is marked {', '.join(required)}: required when CI=true, but skipped.\n{call.excinfo}"
        )
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = (
            f"{collector.nodeid} left itself out as a whole, which CI=true does not allow: {report.longrepr}"
        )
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Fail a CI run that ran no test, or that left files in the checkout."""
    config = session.config
    if not IN_CI or hasattr(config, "workerinput"):
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    ran = sum(len(reporter.stats.get(outcome, ())) for outcome in ("passed", "failed", "error"))
    litter = _visible_names() - config.stash[CHECKOUT]
    if litter:
        reporter.write_line(f"Tests left files in the checkout: {', '.join(sorted(litter))}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if ran == 0:
        reporter.write_line("No test ran.", red=True)
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def _hear_signals():
    """Take SIGINT and SIGTERM as in a terminal, whoever started us; what is ignored here, every child would ignore.

    A shell makes its background jobs ignore SIGINT, and Dagster gives SIGTERM whatever SIGINT has.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _visible_names():
    return {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
