"""A saved model is a folder: the pipeline (skops, never pickle), golden rows, the request function, and a manifest.

Add here: writing and reading that folder. Keep out: anything that knows a registry or a run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mlops_assets.predictor import golden as golden_file
from mlops_assets.predictor.calibration import bare_estimator
from mlops_assets.predictor.equality import ROWS, Scorer
from mlops_assets.predictor.errors import CorruptArtifact, GoldenMismatch, UntrustedTypes
from mlops_assets.predictor.forms import FORM_FILES, forms_of, row_scorers, scorers
from mlops_assets.predictor.golden import TOLERANCE, Golden, golden_rows
from mlops_assets.predictor.manifest import LIBRARIES, MANIFEST, SCHEMA_VERSION, Manifest, decode, digest, encode
from mlops_assets.predictor.request import load_request
from mlops_assets.predictor.scoring import score

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    from mlops_assets.predictor.frame import Columns
    from mlops_assets.predictor.request import RequestFeatures
    from mlops_assets.predictor.signature import Kind, Signature

MODEL, GOLDEN, REQUEST, PROFILE = "model.skops", "golden.json", "request.py", "reference_profile.json"


@dataclass(frozen=True)
class Predictor:
    """A loaded model, verified and replayed; safe to share between threads.

    Attributes:
        sha256: Identity of the saved model: the digest of its manifest, which names every other file's digest.
        request_features: The function of `request_source`, called with the columns of `request_inputs`.
        reference_profile: The past that monitoring compares with, as it was given to `save`, parsed.
        form_files: The files of the forms beside the pipeline, by name.
        golden: What every form must give again.
    """

    pipeline: Any
    manifest: Manifest
    sha256: str
    request_features: RequestFeatures | None
    request_source: bytes | None
    reference_profile: dict[str, Any] | None
    form_files: Mapping[str, bytes]
    golden: Golden

    @property
    def features(self) -> Mapping[str, Kind]:
        return self.manifest.features

    @property
    def request_inputs(self) -> tuple[str, ...]:
        return self.manifest.request_inputs

    def predict(self, columns: Columns) -> np.ndarray[Any, Any]:
        """Return one float64 per row: the probability of the positive class, or the predicted value.

        A multiclass model gives one column per class: its probability, in the order of `manifest.classes`.

        Args:
            columns: At least every feature of the model; null (or NaN, or None) where a value is unknown.
        """
        return score(self.pipeline, columns, self.manifest.signature)

    def forms(self) -> dict[str, Scorer]:
        """Load the forms that score without scikit-learn: by the file of their estimator, and `rows` for a few rows."""
        forms = scorers(self.form_files, self.manifest.signature)
        return {**forms, **({} if ROWS in self.manifest.lacking else row_scorers(forms))}


def save(
    folder: Path,
    pipeline: Any,
    *,
    signature: Signature,
    rows: pa.Table,
    facts: Mapping[str, Any],
    request_source: bytes | None = None,
    reference_profile: bytes | None = None,
    lookup: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write a model into `folder`; the manifest goes last, so a half-written folder never loads.

    Args:
        rows: Real rows with every feature: the golden rows are picked from them, and the forms are compared on them.
        facts: What to remember of the training; values that JSON can hold.
        lookup: See `Manifest`.
    """
    import skops.io

    model = skops.io.dumps(pipeline)
    golden = golden_rows(rows, signature)
    replay = golden_file.encode(golden, score(pipeline, golden, signature))
    forms, lacking = forms_of(pipeline, rows, signature)
    files = {MODEL: model, GOLDEN: replay, **forms}
    if request_source is not None:
        load_request(request_source, file=REQUEST)
        files[REQUEST] = request_source
    if reference_profile is not None:
        files[PROFILE] = reference_profile
    manifest = Manifest(
        task=signature.task,
        features=dict(signature.features),
        request_inputs=signature.request_inputs,
        classes=signature.classes,
        files={name: digest(data) for name, data in files.items()},
        facts=dict(facts),
        libraries={name: version(name) for name in LIBRARIES},
        types=tuple(skops.io.get_untrusted_types(data=model)),
        lacking=lacking,
        input_kinds=dict(signature.input_kinds),
        lookup=dict(lookup or {}),
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (files | {MANIFEST: encode(manifest)}).items():
        (folder / name).write_bytes(data)
    return manifest


def load(uri: str) -> Predictor:
    """Read a model from a folder (an absolute path or any fsspec URI), verify every file, and replay its golden rows.

    Raises:
        CorruptArtifact: A file is missing, changed, or not of this format.
        UntrustedTypes: The model file holds types that the manifest does not declare.
        GoldenMismatch: The scores differ from those at the time of saving.
    """
    manifest, sha256 = _head(uri)
    files = {name: _read_verified(uri, name, sha) for name, sha in manifest.files.items()}
    request, profile = files.get(REQUEST), files.get(PROFILE)
    predictor = Predictor(
        pipeline=_load_pipeline(uri, files[MODEL], manifest),
        manifest=manifest,
        sha256=sha256,
        request_features=None if request is None else load_request(request, file=f"{uri}/{REQUEST}"),
        request_source=request,
        reference_profile=None if profile is None else json.loads(profile),
        form_files={name: data for name, data in files.items() if name in FORM_FILES},
        golden=golden_file.decode(files[GOLDEN], manifest.signature),
    )
    _replay(uri, predictor)
    return predictor


def read_manifest(uri: str) -> Manifest:
    """Read what is known about a saved model, without loading the model.

    Raises:
        CorruptArtifact: There is no manifest, or none of this format.
    """
    return _head(uri)[0]


def identity(uri: str) -> str:
    """Return the sha256 of the saved model, without loading it."""
    return digest(_read(uri, MANIFEST))


def _head(uri: str) -> tuple[Manifest, str]:
    """Return the manifest and its sha256."""
    import msgspec

    head = _read(uri, MANIFEST)
    try:
        manifest = decode(head)
    except msgspec.DecodeError as error:
        raise CorruptArtifact(uri, MANIFEST, found=str(error), required="a manifest of this project") from error
    if manifest.schema_version != SCHEMA_VERSION:
        found = f"schema_version {manifest.schema_version}"
        raise CorruptArtifact(uri, MANIFEST, found=found, required=f"schema_version {SCHEMA_VERSION}")
    return manifest, digest(head)


def _read(uri: str, name: str) -> bytes:
    import fsspec.core

    filesystem, folder = fsspec.core.url_to_fs(uri)
    try:
        return filesystem.cat_file(f"{folder.rstrip('/')}/{name}")
    except FileNotFoundError as error:
        raise CorruptArtifact(uri, name, found="no such file", required="the file that was saved") from error


def _read_verified(uri: str, name: str, sha256: str) -> bytes:
    data = _read(uri, name)
    if digest(data) != sha256:
        raise CorruptArtifact(uri, name, found=f"sha256 {digest(data)}", required=f"sha256 {sha256}")
    return data


def _load_pipeline(uri: str, data: bytes, manifest: Manifest) -> Any:
    import skops.io

    undeclared = set(skops.io.get_untrusted_types(data=data)) - set(manifest.types)
    if undeclared:
        raise UntrustedTypes(uri, sorted(undeclared), manifest.types)
    pipeline = skops.io.loads(data, trusted=list(manifest.types))
    estimator = bare_estimator(pipeline[-1])
    if "n_jobs" in estimator.get_params():
        estimator.set_params(n_jobs=1)  # a server scales by processes; threads inside a request only contend
    return pipeline


def _replay(uri: str, predictor: Predictor) -> None:
    difference = predictor.golden.difference(predictor)
    if not difference <= TOLERANCE:
        libraries = ", ".join(f"{name} {found}" for name, found in predictor.manifest.libraries.items())
        raise GoldenMismatch(uri, difference=difference, tolerance=TOLERANCE, libraries=libraries)
