"""The lines of the server's own log: which requests have one, and that nobody else writes any."""

import json
import logging
import subprocess
import sys

import pytest

from mlops_assets.serving.logs import JsonLines, RequestLog
from mlops_assets.serving.options import ServerOptions


@pytest.mark.parametrize(
    ("options", "status", "seconds", "level"),
    [
        ({}, 200, 0.01, None),
        ({}, 422, 0.01, None),
        ({}, 200, 1.5, "WARNING"),
        ({"slow_ms": 5}, 200, 0.01, "WARNING"),
        ({}, 500, 0.01, "ERROR"),
        ({"access_log": True}, 200, 0.01, "INFO"),
    ],
)
def test_errors_and_slow_requests_have_a_line_and_others_when_asked_for(
    caplog: pytest.LogCaptureFixture, options: dict[str, float], status: int, seconds: float, level: str | None
) -> None:
    caplog.set_level(logging.INFO)

    RequestLog(ServerOptions(**options)).note("01J", "churn", 3, "champion", status=status, seconds=seconds)

    assert [record.levelname for record in caplog.records] == ([level] if level else [])


def test_an_error_that_quotes_a_caller_forges_no_line(caplog: pytest.LogCaptureFixture) -> None:
    error = "ValueError: x\n2013-04-01T00:00:00.000Z ERROR forged"

    RequestLog(ServerOptions()).note("01J", "churn", 3, "champion", status=500, seconds=0.1, error=error)

    [record] = caplog.records
    assert "\n" not in record.getMessage()
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["request_id"], line["version"], line["ms"]) == ("error", "01J", 3, 100.0)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_says_when_in_utc_wherever_the_server_is(log_format: str) -> None:
    script = (
        "import logging, os, time; os.environ['TZ'] = 'Pacific/Auckland'; time.tzset()\n"
        "from mlops_assets.serving.logs import configure; from mlops_assets.serving.options import ServerOptions\n"
        f"configure(ServerOptions(log_format={log_format!r}))\n"
        "record = logging.getLogger('mlops_assets').makeRecord('mlops_assets.x', 40, '', 0, 'said', (), None)\n"
        "record.created, record.msecs = 1641920439.25, 250.0\n"
        "logging.getLogger('mlops_assets').handle(record)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stderr.strip()

    at = json.loads(said)["at"] if log_format == "json" else said.split()[0]
    assert at == "2022-01-11T17:00:39.250Z"
    assert "said" in said
