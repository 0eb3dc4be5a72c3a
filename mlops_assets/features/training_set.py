"""The immutable training set: labelled rows with the features as they were known, stored under the hash of what they are.

Add here: which rows count, and how the set is kept. Keep out: what the rows hold (`vectors.py`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.errors import MlopsError
from mlops_assets.features.labels import LabelCounts, labelled_rows
from mlops_assets.features.sources import open_sources
from mlops_assets.features.spine import read_spine
from mlops_assets.features.vectors import assemble, open_views
from mlops_assets.lake.engine import connect
from mlops_assets.lake.files import exists, read_bytes, write_bytes
from mlops_assets.lake.identity import identity
from mlops_assets.lake.stored_table import open_table
from mlops_assets.lake.uris import join
from mlops_assets.lake.windows import Window
from mlops_assets.predictor.frame import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from mlops_assets.features.definition import VectorDefinition
    from mlops_assets.lake.stored_table import StoredTable

DATA, MANIFEST = "data.parquet", "manifest.json"
COPY = "training_set.json"  # of the manifest, beside each model that was trained on the set: it outlives the set
LIBRARIES = ("duckdb", "numpy", "pyarrow")
Kind = Literal["numeric", "categorical"]


class NoLabelledRows(MlopsError):
    """No row of the spine may be trained on."""

    def __init__(self, as_of: datetime, counts: LabelCounts) -> None:
        super().__init__(
            f"Training set as of {as_of.isoformat()}",
            found=f"no labelled row ({counts.censored:,} censored, {counts.pending:,} pending, {counts.held:,} held)",
            required="at least one row whose label was known in time",
            remedy="Ingest more windows, `mlops release` held ones, or correct `label_known_at` and `label_timeout_days`.",
        )


class CorruptTrainingSet(MlopsError):
    """A stored training set is incomplete, or not what its name says."""

    def __init__(self, uri: str, *, found: str, required: str) -> None:
        super().__init__(uri, found=found, required=required, remedy="Materialise `training_set` again.")


@dataclass(frozen=True)
class ViewVersion:
    """The table of a view that was read: its Delta version, its definition, and the raw versions it came from."""

    version: int
    definition: str
    sources: dict[str, int]


@dataclass(frozen=True)
class Manifest:
    """Where a training set came from.

    Attributes:
        sha256: Identity of the rows, and of which columns are the features.
        features: Kind of each feature, in the model's order.
        sources: Delta version read of each `source/table` of the spine.
        views: What was read of each view.
        held_windows: Windows whose rows were left out.
        window_days: See `build_training_set`.
    """

    sha256: str
    as_of: datetime
    rows: int
    labels: LabelCounts
    features: dict[str, Kind]
    spine_definition: str
    request_sha256: str | None
    sources: dict[str, int]
    views: dict[str, ViewVersion]
    libraries: dict[str, str]
    held_windows: tuple[Window, ...] = ()
    window_days: float | None = None
    schema_version: int = 2


@dataclass(frozen=True)
class TrainingSet:
    """Rows and where they came from; rows that stay in their file (`StoredTable`) are read like a table."""

    table: pa.Table
    manifest: Manifest


@dataclass(frozen=True)
class SavedTrainingSet:
    """Where a training set is kept."""

    uri: str
    sha256: str


def build_training_set(
    definition: VectorDefinition,
    *,
    lake: str,
    as_of: datetime,
    held: Sequence[Window],
    window_days: float | None,
    pinned: Manifest | None = None,
) -> TrainingSet:
    """Join the labelled rows of the spine with their features as they were known at prediction time.

    Rows end `label_timeout` before `as_of`: nearer to it only fast labels are in, which would bias the edge.

    Args:
        held: Windows to leave out.
        window_days: Take only this many days before the end; all if None.
        pinned: Read the tables at the versions that this manifest names; the newest if None.

    Raises:
        NoLabelledRows: Nothing is left to train on.
        MlopsError: See `read_spine`, `open_views` and `assemble`.
    """
    end = as_of - timedelta(days=definition.spine.label_timeout_days)
    with connect() as con:
        sources = open_sources(con, lake, definition.spine.sources, versions=pinned.sources if pinned else None)
        spine = read_spine(con, definition, column="prediction_time", start=None, end=as_of)
        start = end - timedelta(days=window_days) if window_days else None
        rows, counts = labelled_rows(con, spine, definition, start=start, end=end, held=held)
        del spine  # as large as the rows that are left
        if not rows.num_rows:
            raise NoLabelledRows(as_of, counts)
        views = open_views(con, lake, definition, versions=_view_versions(pinned))
        vectors = assemble(con, rows, definition, [view.joined for view in views])
    table = vectors.table
    features: dict[str, Kind] = {name: kind_of(table[name].type) for name in vectors.features}
    manifest = Manifest(
        sha256=content_sha256(table, features),
        as_of=as_of,
        rows=table.num_rows,
        labels=counts,
        features=features,
        spine_definition=definition.spine_definition,
        request_sha256=definition.request.sha256,
        sources=sources,
        views={v.joined.spec.name: ViewVersion(v.version, v.definition, v.sources) for v in views},
        libraries={name: version(name) for name in LIBRARIES},
        held_windows=tuple(held),
        window_days=window_days,
    )
    return TrainingSet(table, manifest)


def save(training_set: TrainingSet, lake: str, model: str) -> SavedTrainingSet:
    """Keep a training set under its identity: the same set is kept once, what is broken of it is written again.

    The manifest is written last, so a set without one is never read. That of a set which is there already is written again
    as it is: its age tells retention when somebody last wanted the set.
    """
    import io

    import pyarrow.parquet as pq

    sha256 = training_set.manifest.sha256
    uri = join(lake, "training_sets", model, sha256[:16])
    if _is_whole(uri):
        write_bytes(join(uri, MANIFEST), read_bytes(join(uri, MANIFEST)))
    else:
        buffer = io.BytesIO()
        pq.write_table(training_set.table, buffer, compression="zstd")
        write_bytes(join(uri, DATA), buffer.getvalue())
        write_bytes(join(uri, MANIFEST), encode_manifest(training_set.manifest))
    return SavedTrainingSet(uri, sha256)


def encode_manifest(manifest: Manifest) -> bytes:
    """Write a manifest as JSON."""
    return msgspec.json.encode(manifest)


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest, or raise `msgspec.DecodeError`."""
    return decoder(Manifest).decode(data)


def load(uri: str, *, data: Literal["memory", "stream"] = "memory") -> TrainingSet:
    """Read a training set and verify that it is what its manifest says.

    Args:
        data: stream leaves the rows in their file: the table is a `StoredTable`, and is verified column by column.

    Raises:
        CorruptTrainingSet: A file is missing, or the rows are others.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = join(uri, DATA)
    try:
        manifest = decode_manifest(read_bytes(join(uri, MANIFEST)))
        table = open_table(place) if data == "stream" else pq.read_table(pa.BufferReader(read_bytes(place)))
        found = content_sha256(table, manifest.features)
    except FileNotFoundError as error:
        found = f"no file {error.filename or error}"
        raise CorruptTrainingSet(uri, found=found, required=f"{DATA} and {MANIFEST}") from error
    except (msgspec.MsgspecError, pa.ArrowInvalid, OSError) as error:
        raise CorruptTrainingSet(uri, found=str(error), required="a Parquet file and its manifest") from error
    if found != manifest.sha256:
        raise CorruptTrainingSet(uri, found=f"rows with sha256 {found}", required=f"sha256 {manifest.sha256}")
    return TrainingSet(cast("pa.Table", table), manifest)


def _view_versions(pinned: Manifest | None) -> dict[str, int]:
    return {name: read.version for name, read in pinned.views.items()} if pinned else {}


def _is_whole(uri: str) -> bool:
    if not exists(join(uri, MANIFEST)):
        return False
    try:
        load(uri)
    except CorruptTrainingSet:
        return False
    return True


def content_sha256(table: pa.Table | StoredTable, features: Mapping[str, Kind]) -> str:
    """Return the identity of rows, and of which columns are the features."""
    return hashlib.sha256(json.dumps([identity(table), list(features.items())]).encode()).hexdigest()
