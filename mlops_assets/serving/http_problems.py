"""What a request can be refused for by the server itself, whatever model it asks for.

Add here: one class per refusal. Keep out: what a body is refused for (`problems.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.serving.problems import Problem

if TYPE_CHECKING:
    from mlops_assets.errors import MlopsError

RETRY_SECONDS = 1


class Unauthorized(Problem):
    """There is no API key, or nobody's."""

    status = 401

    def __init__(self, *, is_given: bool) -> None:
        super().__init__(
            "not authorised",
            field="Authorization",
            found="a key that is not known" if is_given else "no key",
            required="a key made by `mlops keys create`",
            remedy="Send `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
        )


class Forbidden(Problem):
    """The key is for other routes."""

    status = 403

    def __init__(self, name: str, *, found: str, required: str) -> None:
        super().__init__(
            "not allowed",
            field="Authorization",
            found=f"key {name} of scope {found}",
            required=f"a key of scope {required}",
            remedy=f"Use another key, or make one: `mlops keys create NAME --scope {required}`.",
        )


class UnknownPath(Problem):
    """Nothing answers there."""

    status = 404

    def __init__(self, path: str) -> None:
        super().__init__(
            "not found", field="path", found=path, required="a path that /docs names", remedy="Correct the path."
        )


class WrongMethod(Problem):
    """The path takes another method."""

    status = 405

    def __init__(self, found: str, allowed: str) -> None:
        self.allowed = allowed
        super().__init__("wrong method", field="method", found=found, required=allowed, remedy="Correct the method.")


class WrongInferenceId(Problem):
    """The id that a caller gave the request is none."""

    status = 400

    def __init__(self, found: str, longest: int) -> None:
        super().__init__(
            "wrong inference id",
            field="X-Amzn-SageMaker-Inference-Id",
            found=repr(found[: 2 * longest]),
            required=f"1 to {longest} printable ASCII characters",
            remedy="Correct the header, or leave it out.",
        )


class Disconnected(Problem):
    """The caller went away in the middle of the body; nobody reads this."""

    status = 400

    def __init__(self, received: int) -> None:
        super().__init__(
            "body cut off",
            field="body",
            found=f"{received} bytes, then the end of the connection",
            required="the whole body",
            remedy="Send it again.",
        )


class TooSlow(Problem):
    """The body did not come in."""

    status = 408

    def __init__(self, seconds: float) -> None:
        super().__init__(
            "body too slow",
            field="body",
            found=f"part of a body after {seconds:g} s",
            required=f"the whole body within {seconds:g} s",
            remedy="Send fewer rows a request, or raise `mlops serve --deadline-ms`.",
        )


class TooManyRows(Problem):
    """One request has more rows than are answered at once."""

    status = 413

    def __init__(self, found: int, most: int) -> None:
        super().__init__(
            "too many rows",
            field="body",
            found=f"at least {found} rows",
            required=f"at most {most} rows",
            remedy="Send fewer rows a request, or score them as a batch.",
        )


class TooFast(Problem):
    """A caller asks more often than it may."""

    status = 429

    def __init__(self, caller: str, amount: int, seconds: float, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(
            "too many requests",
            field="request",
            found=f"more than {amount} in {seconds:g} s by {caller}",
            required=f"at most {amount} in {seconds:g} s",
            remedy="Wait as long as Retry-After says.",
        )


class TooBusy(Problem):
    """As many requests as a worker takes at once are under way."""

    status = 429

    def __init__(self, most: int) -> None:
        self.retry_after = RETRY_SECONDS
        super().__init__(
            "too many requests",
            field="server",
            found=f"{most} requests under way",
            required=f"fewer than {most} at once",
            remedy="Wait as long as Retry-After says.",
        )


class Failed(Problem):
    """Something of ours broke; the log of the server tells what."""

    status = 500

    def __init__(self, request_id: str) -> None:
        super().__init__(
            "internal error",
            field="server",
            found=f"request {request_id}",
            required="an answer",
            remedy=f"Look for {request_id} in the log of the server.",
        )


class Unavailable(Problem):
    """What the server needs is not there or cannot be read, such as the store of the routing."""

    status = 503

    def __init__(self, error: MlopsError) -> None:
        super().__init__(
            "not available", field=error.what, found=error.found, required=error.required, remedy=error.remedy
        )


class TooLate(Problem):
    """No answer was ready by the deadline."""

    status = 504

    def __init__(self, deadline_ms: float) -> None:
        super().__init__(
            "deadline passed",
            field="server",
            found=f"no answer after {deadline_ms:g} ms",
            required=f"an answer within {deadline_ms:g} ms",
            remedy="Try again, send fewer rows a request, or raise `mlops serve --deadline-ms`.",
        )


def headers_of(problem: Problem) -> list[tuple[bytes, bytes]]:
    """Return the headers that belong to a refusal."""
    match problem:
        case WrongMethod():
            return [(b"allow", problem.allowed.encode())]
        case Unauthorized():
            return [(b"www-authenticate", b"Bearer")]
        case TooFast() | TooBusy():
            return [(b"retry-after", str(problem.retry_after).encode())]
        case _:
            is_passing = problem.status == 503  # noqa: PLR2004
            return [(b"retry-after", str(RETRY_SECONDS).encode())] if is_passing else []
