"""Whether a saved model is whole, by its hashes alone: no library of it is imported."""

from __future__ import annotations

import json

from mlops_assets.lake.files import read_bytes
from mlops_assets.lake.uris import join
from mlops_assets.predictor.errors import CorruptArtifact
from mlops_assets.predictor.manifest import MANIFEST, digest


def verify_files(uri: str, sha256: str) -> None:
    """Compare every file of a saved model with its manifest, and the manifest with the identity that was registered.

    Raises:
        CorruptArtifact: A file is missing or is another.
    """
    manifest = _verified(uri, MANIFEST, sha256)
    for name, expected in json.loads(manifest)["files"].items():
        _verified(uri, name, expected)


def _verified(uri: str, name: str, sha256: str) -> bytes:
    try:
        data = read_bytes(join(uri, name))
    except FileNotFoundError as error:
        raise CorruptArtifact(uri, name, found="no such file", required="the file that was registered") from error
    if digest(data) != sha256:
        raise CorruptArtifact(uri, name, found=f"sha256 {digest(data)}", required=f"sha256 {sha256}")
    return data
