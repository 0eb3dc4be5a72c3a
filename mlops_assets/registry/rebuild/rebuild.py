"""Make a registered version again and say whether it is the same."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.registry.rebuild.again import save_again
from mlops_assets.registry.rebuild.data import training_rows
from mlops_assets.registry.rebuild.inputs import compared_inputs
from mlops_assets.registry.rebuild.outputs import compared_outputs
from mlops_assets.registry.rebuild.recorded import read_recorded
from mlops_assets.registry.rebuild.result import Rebuilt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_assets.features.definition import VectorDefinition
    from mlops_assets.registry.lifecycle import VersionCard
    from mlops_assets.registry.rebuild.recorded import Recorded


def rebuild(
    version: VersionCard, *, definition: VectorDefinition | None, present: Mapping[str, str], lake: str
) -> Rebuilt:
    """Fetch what a version was trained on, train, and compare: files by their hash, scores bit by bit.

    Args:
        definition: What the model's file says now; None: no file defines it any more.
        present: What `training.provenance.code_facts` says now.

    Raises:
        MlopsError: The version does not say enough about itself, or its rows are gone for good.
    """
    with tempfile.TemporaryDirectory() as scratch:
        return _compared(read_recorded(version), definition, present, lake=lake, scratch=Path(scratch))


def _compared(
    recorded: Recorded,
    definition: VectorDefinition | None,
    present: Mapping[str, str],
    *,
    lake: str,
    scratch: Path,
) -> Rebuilt:
    version = recorded.version
    rows = training_rows(recorded, definition, lake=lake, scratch=scratch)
    source = definition.request.source if definition else None
    inputs = tuple(compared_inputs(recorded, present, training_set=rows.sha256, request_source=source))
    found = Rebuilt(version.name, version.version, recorded.artefact, rows.origin, rows=0, inputs=inputs)
    if rows.table is None:
        return found
    folder = scratch / "model"
    save_again(recorded, rows.table, folder, request_source=source)
    outputs = tuple(compared_outputs(version.artifact_uri, str(folder), rows.table))
    return replace(found, rows=rows.table.num_rows, outputs=outputs)
