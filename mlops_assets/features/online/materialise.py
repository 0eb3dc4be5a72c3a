"""Copy the newest usable rows of a view to the online store: all of them, or those that changed since the last time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.features.compute import DEFINITION, view_uri
from mlops_assets.features.online.forgotten import read_tombstones
from mlops_assets.features.online.newest import difference
from mlops_assets.features.online.packing import Packer, to_micros
from mlops_assets.features.online.schema import view_schema
from mlops_assets.features.online.store import ABSENT, Changes, StoredView, until_first
from mlops_assets.features.vectors import StaleView
from mlops_assets.lake import files, tables
from mlops_assets.lake.delta import TableNotFound
from mlops_assets.lake.engine import attach, connect

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from mlops_assets.features.definition import View
    from mlops_assets.features.online.forgotten import Tombstones
    from mlops_assets.features.online.newest import Difference
    from mlops_assets.features.online.schema import Schema
    from mlops_assets.features.online.store import OnlineStore
    from mlops_assets.lake.tables import Snapshot

ATTEMPTS = 5


@dataclass(frozen=True)
class Materialised:
    """A view after a materialisation.

    Attributes:
        entities: Entities that have a usable row, those that asked to be forgotten among them.
        written: Rows written.
        removed: Entities removed, because they have no row any more or asked to be forgotten.
        source_version: Delta version of `features/<view>` that they come from.
        is_rebuild: Every row was written, not only what changed.
    """

    entities: int
    written: int
    removed: int
    source_version: int
    is_rebuild: bool


@dataclass(frozen=True)
class _Base:
    """What the store holds, and the version that it came from."""

    held: StoredView
    snapshot: Snapshot


def materialise(view: View, *, lake: str, store: OnlineStore, now: datetime) -> Materialised:
    """Bring the online rows of a view up to the newest version of its table.

    Only entities whose newest usable row is another one than at the last materialisation are written, also when what
    changed arrived late. Everything is written when the schema changed, the last write broke off, or the version that it
    came from is gone.

    Raises:
        TableNotFound: The view was never computed.
        StaleView: Its table was computed by another definition.
        UnstorableType: An online row cannot hold a column.
        OnlineConflict: Other writers were first every time.
    """
    return until_first(lambda: _attempt(view, lake=lake, store=store, now=now), ATTEMPTS)


def _attempt(view: View, *, lake: str, store: OnlineStore, now: datetime) -> Materialised:
    held = store.stored(view.spec.name)  # before the tombstones: who is forgotten after this makes the write fail
    tombstones = read_tombstones(lake, view.spec.name)
    snapshot = _computed(view, lake)
    stored = StoredView(
        schema=view_schema(view, snapshot.schema),
        revision=held.revision + 1 if held else ABSENT + 1,
        source_version=snapshot.version,
        as_of_us=to_micros(now),
        forgotten=tombstones.digest,
    )
    base = _base(held, stored, snapshot.uri)
    found = _difference(snapshot, stored, base)
    changes = _changes(found, stored, tombstones, base)
    if changes.is_rebuild or changes.rows or changes.gone or _is_news(stored, held):
        store.write(view.spec.name, changes, expected=held.revision if held else ABSENT)
    return Materialised(
        entities=found.entities.num_rows,
        written=len(changes.rows),
        removed=len(changes.gone),
        source_version=snapshot.version,
        is_rebuild=changes.is_rebuild,
    )


def _computed(view: View, lake: str) -> Snapshot:
    """Return the newest version of the view's table, which its own definition must have computed."""
    snapshot = tables.snapshot(view_uri(lake, view.spec.name))
    definition = tables.commit_properties(snapshot.uri, snapshot.version).get(DEFINITION)
    if definition != view.definition:
        raise StaleView(view.spec.name, found=definition, required=view.definition)
    return snapshot


def _base(held: StoredView | None, stored: StoredView, uri: str) -> _Base | None:
    """Return what an increment can start from; None if the rows are of another kind or their version is gone."""
    if held is None or not held.is_complete or held.schema != stored.schema:
        return None
    try:
        snapshot = tables.snapshot(uri, held.source_version)
    except TableNotFound:
        return None
    return _Base(held, snapshot) if all(map(files.exists, snapshot.files)) else None


def _difference(snapshot: Snapshot, stored: StoredView, base: _Base | None) -> Difference:
    with connect() as con:
        attach(con, "new", snapshot)
        if base:
            attach(con, "old", base.snapshot)
        old = ("old", base.held.as_of_us) if base else None
        return difference(con, stored.schema, new=("new", stored.as_of_us), old=old)


def _changes(found: Difference, stored: StoredView, tombstones: Tombstones, base: _Base | None) -> Changes:
    """Pack what changed, without the forgotten; a tombstone that is new to the store may cover any row of it."""
    packer, schema = Packer(stored.schema), stored.schema
    kept, covered = _split(found.changed, schema, tombstones)
    rows = list(zip(packer.keys(kept), packer.rows(kept), strict=True))
    if base is None:
        return Changes(rows, (), stored, is_rebuild=True)
    if base.held.forgotten != stored.forgotten:
        _, covered = _split(found.entities, schema, tombstones)
    return Changes(rows, [*packer.keys(found.gone), *packer.keys(covered)], stored, is_rebuild=False)


def _split(table: pa.Table, schema: Schema, tombstones: Tombstones) -> tuple[pa.Table, pa.Table]:
    """Return the rows of entities that are remembered, and of those that are forgotten."""
    import pyarrow as pa

    if not tombstones.hashes:
        return table, table.slice(0, 0)
    entities = zip(*(table[name].to_pylist() for name, _ in schema.entity), strict=True)
    is_forgotten = [tombstones.covers(entity) for entity in entities]
    return table.filter(pa.array([not one for one in is_forgotten], pa.bool_())), table.filter(
        pa.array(is_forgotten, pa.bool_())
    )


def _is_news(stored: StoredView, held: StoredView | None) -> bool:
    return held is None or (stored.source_version, stored.forgotten) != (held.source_version, held.forgotten)
