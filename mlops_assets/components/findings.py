"""What is wrong with a definition file: where, what was found, what is required, what to do."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mlops_assets.components.positions import Document


@dataclass(frozen=True)
class Finding:
    """One mistake in one file."""

    file: Path
    line: int
    where: str
    found: str
    required: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.where}: found {self.found}; required {self.required}. {self.remedy}"


def from_validation(error: ValidationError, *, file: Path, document: Document, model: type[BaseModel]) -> list[Finding]:
    """Turn pydantic's complaints into findings that carry the line of the mistake."""
    return [_finding(item, file=file, document=document, model=model) for item in error.errors(include_url=False)]


def _finding(item: Mapping[str, Any], *, file: Path, document: Document, model: type[BaseModel]) -> Finding:
    place = tuple(item["loc"])
    line = document.line(("attributes", *place))
    where = ".".join(map(str, place)) or "attributes"
    if item["type"] == "extra_forbidden":
        allowed = _keys_at(model, place[:-1])
        return Finding(
            file, line, where, "an unknown key", f"one of {', '.join(allowed)}", _did_you_mean(place, allowed)
        )
    if item["type"] == "missing":
        return Finding(file, line, where, "nothing", "a value for this key", f"Add `{place[-1]}:`.")
    return Finding(file, line, where, repr(item["input"]), _required(item), "Correct the value.")


def _required(item: Mapping[str, Any]) -> str:
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return message.rstrip(".")


def _did_you_mean(place: Sequence[str | int], allowed: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(place[-1]), allowed, n=1)
    return f"Did you mean `{near[0]}`?" if near else "Remove or rename it."


def _keys_at(model: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """Return the keys that the schema allows at a place, following nested models, lists and maps of models."""
    current: type[BaseModel] | None = model
    for step in place:
        field = current.model_fields.get(str(step)) if current else None
        if field is not None:
            current = _model_in(field.annotation)
    return sorted(current.model_fields) if current else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, getattr(annotation, "__args__", ()))), None)
