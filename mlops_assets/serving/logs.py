"""What the server says on stderr: lines for a person, or JSON for a collector. No keys, and of bodies what an error quotes.

Not a line for every request, unless asked for: errors and slow ones have one.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from mlops_assets.serving.options import ServerOptions

ERROR = 500
FACTS = "facts"
SECOND, AT = "%Y-%m-%dT%H:%M:%S", "%(asctime)s.%(msecs)03dZ"
requests = logging.getLogger("mlops_assets.requests")


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": f"{self.formatTime(record, SECOND)}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
            **getattr(record, FACTS, {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure(options: ServerOptions) -> None:
    """Send the log of this process to stderr, in the form that the options name."""
    form: logging.Formatter = JsonLines()
    if options.log_format == "text":
        form = logging.Formatter(f"{AT} %(levelname)s %(name)s: %(message)s", SECOND)
    form.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(form)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("mlops_assets").setLevel(logging.INFO)


class RequestLog:
    """Which requests get a line.

    >>> import logging
    >>> from mlops_assets.serving.options import ServerOptions
    >>> RequestLog(ServerOptions()).note("01J", "churn", 3, "champion", status=200, seconds=0.002)
    """

    def __init__(self, options: ServerOptions) -> None:
        self._slow_seconds, self._is_full = options.slow_ms / 1000, options.access_log

    def note(
        self, request_id: str, model: str, version: int, variant: str, *, status: int, seconds: float, error: str = ""
    ) -> None:
        """Write the line of a request, if it has one."""
        if status < ERROR and seconds < self._slow_seconds and not self._is_full:
            return
        what = "error" if status >= ERROR else "slow" if seconds >= self._slow_seconds else "request"
        level = {"error": logging.ERROR, "slow": logging.WARNING, "request": logging.INFO}[what]
        ms = round(seconds * 1000, 3)
        facts = {
            "request_id": request_id,
            "model": model,
            "version": version,
            "variant": variant,
            "status": status,
            "ms": ms,
        }
        said = f"{what}: {model}@{version} ({variant}) {status} in {ms} ms, request {request_id}"
        why = f": {' '.join(error.split())}" if error else ""  # an error may quote a caller: it forges no line
        requests.log(level, "%s%s", said, why, extra={FACTS: facts})
