"""The project as it was at a commit, in a folder of its own: its code and an interpreter with its libraries."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.errors import MlopsError


class NoCheckout(MlopsError):
    """A commit cannot be brought back."""

    def __init__(self, commit: str, *, found: str, required: str, remedy: str) -> None:
        super().__init__(f"checkout of commit {commit[:12]}", found=found, required=required, remedy=remedy)


@dataclass(frozen=True)
class Checkout:
    """Where code runs.

    Attributes:
        folder: The project's folder: that of `workspace.yaml`.
        python: An interpreter with the libraries of its lock file.
    """

    folder: Path
    python: str


@contextmanager
def checked_out(root: Path, commit: str) -> Generator[Checkout]:
    """Check a commit out beside the project, and remove it afterwards; the repository itself is left as it is.

    Raises:
        NoCheckout: There is no repository or no such commit, or its libraries cannot be installed.
    """
    repository = Path(_git(commit, root, "rev-parse", "--show-toplevel"))
    with tempfile.TemporaryDirectory(prefix="mlops-checkout-") as temporary:
        code = Path(temporary, "code")
        _git(commit, repository, "clone", "--quiet", "--shared", "--no-checkout", str(repository), str(code))
        _git(commit, code, "checkout", "--quiet", "--detach", commit)
        folder = code / root.relative_to(repository)
        yield Checkout(folder, _python(commit, folder, root, Path(temporary)))


def _python(commit: str, folder: Path, root: Path, temporary: Path) -> str:
    """Return the present interpreter if it has the libraries of the commit's lock file, else one of its own."""
    from mlops_assets.training.provenance import LOCK, lock_sha256

    if lock_sha256(folder) == lock_sha256(root):
        return sys.executable
    uv = shutil.which("uv") or shutil.which("uv", path=str(root / ".tools" / "bin"))
    if uv is None:
        raise NoCheckout(
            commit,
            found=f"another {LOCK} than the present one, and no `uv`",
            required="`uv`, which installs its libraries into a folder of their own",
            remedy="Install uv, or run `mlops rebuild --checkout` in an environment with these libraries.",
        )
    place = temporary / "venv"
    done = subprocess.run(
        [uv, "sync", "--frozen", "--quiet"],
        cwd=folder,
        env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NoCheckout(
            commit,
            found=done.stderr.strip() or f"exit code {done.returncode} of uv",
            required="the libraries of its lock file",
            remedy="Make the package index reachable, then retry.",
        )
    return str(place / "bin" / "python")


def _git(commit: str, folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoCheckout(
            commit,
            found=str(getattr(error, "stderr", "") or error).strip(),
            required="a git repository that has this commit",
            remedy="Run in the project's repository, and fetch the commit: `git fetch --all`.",
        ) from error
    return done.stdout.strip()
