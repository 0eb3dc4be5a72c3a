"""The manifest of a saved model: what belongs to it, by sha256, and where it came from."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.predictor.signature import Kind, Signature, Task

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
LIBRARIES = ("numpy", "pandas", "scikit-learn", "skops", "xgboost")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a saved model that is not the model.

    Attributes:
        files: sha256 of each file beside the manifest, by name.
        facts: Free facts of training, such as `training_set`, `trained_through`, `candidate_id`.
        libraries: Version of each library that shapes the scores, at the time of saving.
        lacking: Why the model lacks a form that others have: by file, and `rows` where few rows differ.
        types: Types inside `model.skops` beyond those that skops itself trusts.
        classes: See `Signature`.
        input_kinds: See `Signature`.
        lookup: What a server looks up for a request, and the columns that say for whom (`features.online.plan`).
    """

    schema_version: int = SCHEMA_VERSION
    task: Task
    features: dict[str, Kind]
    request_inputs: tuple[str, ...]
    files: dict[str, str]
    facts: dict[str, Any]
    libraries: dict[str, str]
    types: tuple[str, ...]
    lacking: dict[str, str] = {}
    classes: tuple[str, ...] = ()
    input_kinds: dict[str, Kind] = {}
    lookup: dict[str, Any] = {}

    @property
    def signature(self) -> Signature:
        return Signature(self.features, self.task, self.request_inputs, self.classes, self.input_kinds)


def encode(manifest: Manifest) -> bytes:
    """Write the manifest as indented JSON, the order of the features kept."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2)


def decode(data: bytes) -> Manifest:
    """Read a manifest, or raise `msgspec.DecodeError`."""
    return decoder(Manifest).decode(data)


def digest(data: bytes) -> str:
    """Return the sha256 of `data` in hexadecimal digits."""
    return sha256(data).hexdigest()
