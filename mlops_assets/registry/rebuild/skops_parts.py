"""What a `model.skops` says, as one hash. Its bytes say more: times, and the addresses that objects had in memory."""

from __future__ import annotations

import io
import json
import zipfile
from hashlib import sha256
from typing import Any

SCHEMA = "schema.json"


def parts_digest(data: bytes) -> str:
    """Return the sha256 of the objects in a skops file: two dumps of equal models have the same."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: sha256(archive.read(name)).hexdigest() for name in archive.namelist() if name != SCHEMA}
        tree = json.loads(archive.read(SCHEMA))
    return sha256(json.dumps(_plain(tree, files), sort_keys=True).encode()).hexdigest()


def _plain(node: Any, files: dict[str, str]) -> Any:
    """Return a node with its files by content, without addresses; the members of a set have no order."""
    if isinstance(node, list):
        return [_plain(one, files) for one in node]
    if not isinstance(node, dict):
        return node
    plain = {name: _plain(value, files) for name, value in node.items() if name != "__id__"}
    if isinstance(file := plain.get("file"), str):
        plain["file"] = files.get(file, file)
    if plain.get("__class__") in ("set", "frozenset") and isinstance(plain.get("content"), list):
        plain["content"] = sorted(plain["content"], key=lambda one: json.dumps(one, sort_keys=True))
    return plain
