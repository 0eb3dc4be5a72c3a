"""Every input of a training, as it was recorded and as it is: in the order in which somebody would look for the culprit."""

from __future__ import annotations

from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from mlops_assets.predictor.artifact import REQUEST
from mlops_assets.registry.rebuild.result import Compared
from mlops_assets.training.provenance import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlops_assets.registry.rebuild.recorded import Recorded

MACHINE = {"python": "Python", "platform": "platform", "lock_sha256": "uv.lock"}


def compared_inputs(
    recorded: Recorded, present: Mapping[str, str], *, training_set: str | None, request_source: bytes | None
) -> Iterator[Compared]:
    """Yield the inputs of a version.

    Args:
        present: What `training.provenance.code_facts` says now.
        training_set: Hash of the rows that were found; None: there are none.
        request_source: Source of the request function in the model's folder; None: it has none.
    """
    facts, manifest = recorded.facts, recorded.candidate
    for name, found in manifest.libraries.items():
        yield Compared(f"library {name}", found, _version(name))
    for name, shown in MACHINE.items():
        yield Compared(shown, _known(facts.get(name)), _known(present.get(name)))
    yield Compared("code", _code(facts, "then"), _code(present, "now"))
    yield Compared("file of the model", _known(facts.get("spec_sha256")), _known(present.get("spec_sha256")))
    yield Compared("training set", recorded.training_set, training_set)
    digest = None if request_source is None else sha256(request_source).hexdigest()
    yield Compared("request function", manifest.files.get(REQUEST) or "none", digest or "none")


def _known(fact: str | None) -> str | None:
    return None if fact == UNKNOWN else fact


def _code(facts: Mapping[str, str], when: str) -> str | None:
    """Return the commit; changes that nobody committed are never the same as others."""
    commit = _known(facts.get("commit"))
    is_dirty = commit and facts.get("commit_is_dirty") == "true"
    return f"{commit} with changes of {when} that are in no commit" if is_dirty else commit


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
