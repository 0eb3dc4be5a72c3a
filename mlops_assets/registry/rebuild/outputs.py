"""What came out, then and now: the hash of each file of the saved model, and of the scores of every row."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from mlops_assets.lake.files import read_bytes
from mlops_assets.lake.stored_table import StoredTable
from mlops_assets.lake.uris import join
from mlops_assets.predictor.artifact import MODEL, PROFILE, REQUEST, load
from mlops_assets.predictor.errors import GoldenMismatch
from mlops_assets.predictor.manifest import MANIFEST, decode
from mlops_assets.registry.rebuild.result import Compared
from mlops_assets.registry.rebuild.skops_parts import parts_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from mlops_assets.predictor.artifact import Predictor

NOT_FITTED = (REQUEST, PROFILE)  # an input, and what monitoring compares with


def compared_outputs(recorded: str, rebuilt: str, table: pa.Table) -> Iterator[Compared]:
    """Yield the files and the scores of two saved models.

    Args:
        recorded: Place of the registered model.
        rebuilt: Place of the one made again.
        table: Rows to score with both.

    Raises:
        CorruptArtifact: The registered model is not the one that was saved.
    """
    then, now = (decode(read_bytes(join(place, MANIFEST))).files for place in (recorded, rebuilt))
    for name in sorted({*then, *now} - {MODEL, *NOT_FITTED}):
        yield Compared(name, then.get(name, "none"), now.get(name))
    parts = (parts_digest(read_bytes(join(place, MODEL))) for place in (recorded, rebuilt))
    yield Compared(f"parts of {MODEL}", *parts)
    yield Compared("classes and features", *(_interface(place) for place in (recorded, rebuilt)))
    yield Compared("scores of all rows", _scores(recorded, table), _scores(rebuilt, table))


def _interface(place: str) -> str:
    signature = decode(read_bytes(join(place, MANIFEST))).signature
    return sha256(repr(signature).encode()).hexdigest()


def _scores(place: str, table: pa.Table) -> str:
    try:
        return scores_digest(load(place), table)
    except GoldenMismatch as error:
        return f"none: its golden rows give {error.found}"


def scores_digest(predictor: Predictor, table: pa.Table) -> str:
    """Return the sha256 of the bits of every score; rows that stay in their file are scored in batches."""
    import numpy as np

    digest = sha256()
    parts = table.batches(np.arange(table.num_rows)) if isinstance(table, StoredTable) else [table]
    for part in parts:
        digest.update(np.ascontiguousarray(predictor.predict(part)).tobytes())
    return digest.hexdigest()
