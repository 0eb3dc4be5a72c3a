"""What a request can be refused for, as problem JSON (RFC 9457): status, field, found, required, what to do.

Add here: one class per refusal. Keep out: faults of ours; those are 500.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LONGEST = 300
BODY = "dataframe_records, dataframe_split or instances"


def _shortened(text: str) -> str:
    """Keep a caller from being sent, and a log from being filled with, whatever was sent."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 50]} … {text[-50:]}"


class Problem(MlopsError):
    """A request that is refused.

    Attributes:
        status: HTTP status code.
    """

    status: ClassVar[int] = 422

    def __init__(self, title: str, *, field: str, found: str, required: str, remedy: str) -> None:
        self.title, self.field = title, _shortened(field)
        super().__init__(f"{title}, {self.field}", found=_shortened(found), required=required, remedy=remedy)

    def to_json(self) -> dict[str, Any]:
        """Return the members of the problem document."""
        named = {"field": self.field, "found": self.found, "required": self.required, "remedy": self.remedy}
        return {"type": "about:blank", "title": self.title, "status": self.status, "detail": str(self), **named}


class NotJson(Problem):
    """The body is not JSON."""

    status = 400

    def __init__(self, reason: str) -> None:
        super().__init__("malformed body", field="body", found=reason, required="JSON", remedy="Correct the body.")


class NotCsv(Problem):
    """The body is declared as CSV and is none."""

    status = 400

    def __init__(self, reason: str, *, field: str) -> None:
        super().__init__(
            "malformed body",
            field=field,
            found=reason,
            required="CSV in UTF-8, cells in double quotes where they hold commas, quotes or line ends",
            remedy="Correct the body.",
        )


class WrongShape(Problem):
    """The body has another shape."""

    def __init__(self, found: str, *, field: str = "body", required: str = f"exactly one of {BODY}") -> None:
        super().__init__("wrong body", field=field, found=found, required=required, remedy="See /docs for the shapes.")


class BodyTooLarge(Problem):
    """The body is longer than allowed."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(
            "body too large",
            field="body",
            found=f"more than {limit} bytes",
            required=f"at most {limit} bytes",
            remedy="Send fewer rows a request, or score them as a batch.",
        )


class UnsupportedContentType(Problem):
    """The body is not declared as something that is read."""

    status = 415

    def __init__(self, found: str, supported: Iterable[str]) -> None:
        super().__init__(
            "unsupported content type",
            field="Content-Type",
            found=found or "none",
            required=f"{' or '.join(supported)}, in UTF-8",
            remedy="Set the header.",
        )


class UnknownModel(Problem):
    """No model of that name is routed here."""

    status = 404

    def __init__(self, model: str, known: Iterable[str]) -> None:
        super().__init__(
            "unknown model",
            field="model",
            found=model,
            required=f"one of {', '.join(known) or '(no model is routed yet)'}",
            remedy=f"Correct the name, or materialise `{model}/deployment`.",
        )


class AmbiguousModel(Problem):
    """`/invocations` does not say which of several models is meant."""

    status = 400

    def __init__(self, known: Iterable[str]) -> None:
        super().__init__(
            "ambiguous model",
            field="path",
            found=f"models {', '.join(known)}",
            required="one model, or its name in the path",
            remedy="POST to /models/NAME/invocations.",
        )


class NotLoaded(Problem):
    """The model is routed, but no version of it could be loaded; or nothing is routed.

    Args:
        load_error: As the heartbeat has it; callers are told its kind alone, for the rest names places of the server.
    """

    status = 503

    def __init__(self, model: str, load_error: str | None) -> None:
        super().__init__(
            "model not loaded",
            field="model",
            found=load_error.partition(":")[0] if load_error else "no version loaded yet",
            required="a loaded version",
            remedy=f"Materialise `{model}/deployment` with an intact version; /models and the log of the server say more.",
        )


class UnknownColumn(Problem):
    """A column is neither a feature nor a request input of the model."""

    def __init__(self, column: str, known: Iterable[str]) -> None:
        super().__init__(
            "unknown column",
            field=column,
            found=f"column {column}",
            required=f"only {', '.join(known)}",
            remedy="Remove or rename the column.",
        )


class WrongValue(Problem):
    """A value has a type that the column does not allow."""

    def __init__(self, column: str, *, found: str, required: str) -> None:
        super().__init__("wrong value", field=column, found=found, required=required, remedy="Correct the value.")


class RequestFunctionFailed(Problem):
    """The model's request function refused the inputs."""

    def __init__(self, inputs: Iterable[str], reason: str) -> None:
        super().__init__(
            "request features not computed",
            field=", ".join(inputs),
            found=reason,
            required="inputs that the model's request function accepts",
            remedy="Send every input with the type that it has in the spine, or send the features themselves.",
        )


class LogUnavailable(Problem):
    """The prediction log cannot be written, and without it no answer is given.

    Args:
        folder: Of the log; callers are not told where it is.
    """

    status = 503

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            "prediction log not written",
            field="log",
            found=reason.replace(str(folder), "the log"),
            required="room and permission to write it",
            remedy="Free space where the log of the server says; the next request tries again. `mlops serve --log shed` "
            "answers without the prediction log, and counts what is missing from it.",
        )
