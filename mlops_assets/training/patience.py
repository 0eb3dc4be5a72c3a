"""Wait for a tracking server or database that is down for a while, and then say so.

MLflow waits too, 7 times with pauses that double: four minutes a call and more when requests hang, for HTTP alone. Here one
bound holds for every store.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, TypeVar

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

PATIENCE_S = 60.0
LONGEST_PAUSE_S = 5.0

T = TypeVar("T")
log = logging.getLogger(__name__)


class TrackingUnavailable(MlopsError):
    """The tracking server, or the database behind it, did not answer for as long as we wait."""

    def __init__(self, tracking_uri: str, *, patience_s: float, reason: str) -> None:
        super().__init__(
            f"MLflow at {without_secrets(tracking_uri)}",
            found=f"no answer for {patience_s:.0f} s ({reason})",
            required="a tracking server that answers",
            remedy="Start it (or its database) again, then launch the run again: it starts over, and what this one left "
            "open is closed then. `MLFLOW_TRACKING_URI` says where it is looked for.",
        )


class Patient:
    """A client each of whose calls is tried again while the store does not answer.

    Args:
        client: An `MlflowClient`.
    """

    def __init__(self, client: Any, tracking_uri: str, patience_s: float) -> None:
        self._client, self._tracking_uri, self._patience_s = client, tracking_uri, patience_s

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *args, **named: patiently(
            lambda: method(*args, **named), self._tracking_uri, patience_s=self._patience_s
        )


def patiently(call: Callable[[], T], tracking_uri: str, *, patience_s: float) -> T:
    """Call until the store answers, with growing pauses.

    Raises:
        TrackingUnavailable: It did not for `patience_s` seconds.
    """
    import tenacity

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_silence),
        stop=tenacity.stop_after_delay(patience_s),
        wait=tenacity.wait_exponential_jitter(initial=0.2, max=LONGEST_PAUSE_S),
        before_sleep=lambda state: _tell(state, tracking_uri, patience_s),
    )
    try:
        return retrying(call)
    except tenacity.RetryError as error:
        reason = _root(error.last_attempt.exception())
        # None: the text of the cause may hold the password of the URI
        raise TrackingUnavailable(tracking_uri, patience_s=patience_s, reason=reason) from None


def without_secrets(uri: str) -> str:
    """Return a URI without user, password and options.

    >>> without_secrets("postgresql+psycopg://me:secret@db:5432/mlflow?password=secret")
    'postgresql+psycopg://db:5432/mlflow'
    """
    return re.sub(r"//[^/]*@", "//", uri.partition("?")[0])


def _is_silence(error: BaseException) -> bool:
    """Return whether the store could not be asked, rather than that it answered with a refusal."""
    import requests
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        cause = error.__cause__ or error.__context__
        return error.error_code == "TEMPORARILY_UNAVAILABLE" or isinstance(cause, requests.RequestException)
    return isinstance(error, sqlalchemy.exc.OperationalError)


def _tell(state: RetryCallState, tracking_uri: str, patience_s: float) -> None:
    if state.attempt_number == 1:
        log.warning("MLflow at %s does not answer; trying for %.0f s", without_secrets(tracking_uri), patience_s)


def _root(error: BaseException | None) -> str:
    """Return the first line of what started it: `ConnectionRefusedError: [Errno 111] Connection refused`."""
    while error is not None and (error.__cause__ or error.__context__) is not None:
        error = error.__cause__ or error.__context__
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
