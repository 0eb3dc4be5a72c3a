"""Everything that a version came from, as flat tags: two versions are compared key by key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.features.training_set import MANIFEST, decode_manifest
from mlops_assets.lake.files import read_bytes
from mlops_assets.lake.uris import join
from mlops_assets.training.owner import HOST, PID, STARTED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_assets.evaluation.verdict import Verdict

OURS = "mlops/"
TRAINING_SET_URI = "mlops/training_set_uri"
# why it was trained and which process did it are the run's, the verdict is read again
NOT_LINEAGE = frozenset({"mlops/events", "mlops/verdict", HOST, PID, STARTED})


def lineage_of(run_tags: Mapping[str, str], verdict: Verdict) -> dict[str, str]:
    """Return the lineage of a candidate: the facts of its run, what its training set was made of, and its verdict.

    Args:
        run_tags: Tags of its run; those that start with `mlops/` are facts.
    """
    facts = {name: value for name, value in run_tags.items() if name.startswith(OURS) and name not in NOT_LINEAGE}
    uri = facts.get(TRAINING_SET_URI)
    hashes = {"mlops/candidate_sha256": verdict.candidate_sha256, "mlops/refit_sha256": verdict.refit_sha256}
    return {
        **facts,
        **(_of_training_set(uri) if uri else {}),
        **{name: value for name, value in hashes.items() if value},
        "mlops/verdict": type(verdict).__name__.lower(),
        "mlops/evaluated_at": verdict.evaluated_at.isoformat(),
        "mlops/sha256": verdict.sha256,
    }


def _of_training_set(uri: str) -> dict[str, str]:
    manifest = decode_manifest(read_bytes(join(uri, MANIFEST)))
    tables = {f"raw/{name}": version for name, version in manifest.sources.items()}
    for name, read in manifest.views.items():
        tables[f"features/{name}"] = read.version
        for source, version in read.sources.items():
            tables[f"features/{name}/raw/{source}"] = version
    definitions = {f"view/{name}": read.definition for name, read in manifest.views.items()}
    definitions["spine"] = manifest.spine_definition
    if manifest.request_sha256:
        definitions["request"] = manifest.request_sha256
    return {
        "mlops/as_of": manifest.as_of.isoformat(),
        **{f"mlops/table/{name}": str(version) for name, version in sorted(tables.items())},
        **{f"mlops/definition/{name}": definition for name, definition in sorted(definitions.items())},
    }
