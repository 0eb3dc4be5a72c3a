"""Which code, libraries and machine made a model: what `mlops rebuild` needs to make it again.

Nothing here fails: what cannot be told is `unknown`, and a rebuild says that it does not know.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

UNKNOWN = "unknown"
LOCK = "uv.lock"
GIT_SECONDS = 30
# parsing whole files of metadata takes ten times as long; PEP 566 puts both on lines of their own at the top
NAME_AND_VERSION = re.compile(r"^Name: (?P<name>\S+)$.*?^Version: (?P<version>\S+)$", re.MULTILINE | re.DOTALL)


def code_facts(root: Path, spec: Mapping[str, Any], *, dagster_run: str) -> dict[str, str]:
    """Return the facts of a training that its data does not tell.

    Args:
        root: The project's folder: its repository and its lock file are meant.
        spec: The model's file as plain values.
    """
    return {
        "commit": _git(root, "rev-parse", "HEAD") or UNKNOWN,
        "commit_is_dirty": _is_dirty(root),
        "lock_sha256": lock_sha256(root),
        "spec_sha256": spec_sha256(spec),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "dagster_run": dagster_run,
    }


def lock_sha256(root: Path) -> str:
    """Return the sha256 of the project's `uv.lock`."""
    try:
        return hashlib.sha256((root / LOCK).read_bytes()).hexdigest()
    except OSError:
        return UNKNOWN


def spec_sha256(spec: Mapping[str, Any]) -> str:
    """Return the sha256 of a model's file, whatever the order of its keys.

    >>> spec_sha256({"a": 1, "b": 2}) == spec_sha256({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(spec, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def installed() -> list[str]:
    """Return `name==version` of every installed distribution, as `pip freeze` would."""
    heads = (NAME_AND_VERSION.search(one.read_text("METADATA") or "") for one in distributions())
    return sorted({f"{head['name'].lower()}=={head['version']}" for head in heads if head})


def _is_dirty(root: Path) -> str:
    """Return whether files below `root` differ from the commit; a file that git does not know yet counts."""
    changes = _git(root, "status", "--porcelain", "--", ".")
    return UNKNOWN if changes is None else str(bool(changes)).lower()


def _git(root: Path, *arguments: str) -> str | None:
    command = ("git", "-C", str(root), "--no-optional-locks", *arguments)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
