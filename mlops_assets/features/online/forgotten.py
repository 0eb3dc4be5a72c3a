"""Who asked to be forgotten: a tombstone for each, which says whom it is about only to somebody who already knows.

Tombstones are in the lake rather than in a store, so that they outlive a store that is emptied or exchanged. They are hashes
under a key of the deployment's own.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.features.compute import view_uri
from mlops_assets.features.online.packing import Packer, entity_text, parse_entity
from mlops_assets.features.online.schema import view_schema
from mlops_assets.lake import tables
from mlops_assets.lake.state import open_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mlops_assets.features.definition import View
    from mlops_assets.features.online.store import OnlineStore
    from mlops_assets.lake.state import StateStore

KEY_OBJECT = "online/tombstone_key"
FOLDER = "online/forgotten"


@dataclass(frozen=True)
class Tombstones:
    """Whom a view must not bring back."""

    view: str
    secret: bytes
    hashes: frozenset[str]

    @property
    def digest(self) -> str:
        """Return what changes when somebody is forgotten."""
        return hashlib.sha256("".join(sorted(self.hashes)).encode()).hexdigest()

    def hash_of(self, entity: Sequence[Any]) -> str:
        """Return the tombstone of an entity."""
        text = f"{self.view} {entity_text(entity)}"
        return hashlib.blake2b(text.encode(), key=self.secret, digest_size=32).hexdigest()

    def covers(self, entity: Sequence[Any]) -> bool:
        """Tell whether an entity was forgotten."""
        return self.hash_of(entity) in self.hashes


def read_tombstones(lake: str, view: str) -> Tombstones:
    """Return the tombstones of a view."""
    state, prefix = open_state(lake), f"{FOLDER}/{view}/"
    return Tombstones(view, _secret(state), frozenset(key.removeprefix(prefix) for key in state.keys(prefix)))


def forget(view: View, entity: Mapping[str, Any], *, lake: str, store: OnlineStore, now: datetime) -> None:
    """Remove an entity from the online store for ever: no later materialisation brings it back.

    The tombstone comes first: were the process killed in between, the next materialisation would remove the row. Offline
    tables are left as they are.

    Args:
        entity: Values of its columns, as they are or as text.

    Raises:
        WrongEntity: A column is missing or unknown, or a value has another type.
        TableNotFound: The view was never computed, so that the types of its entity are unknown.
    """
    name = view.spec.name
    held = store.stored(name)
    schema = held.schema if held else view_schema(view, tables.snapshot(view_uri(lake, name)).schema)
    values = parse_entity(schema, entity)
    key = Packer(schema).key(values)
    tombstone = read_tombstones(lake, name).hash_of(list(values.values()))
    open_state(lake).put_if_absent(f"{FOLDER}/{name}/{tombstone}", {"at": now.isoformat()})
    store.delete(name, [key] if key else [])


def _secret(state: StateStore) -> bytes:
    """Return the deployment's key, made on first use; of two processes that make one, the first one's counts."""
    held = state.read(KEY_OBJECT)
    if held is None:
        state.put_if_absent(KEY_OBJECT, {"key": secrets.token_hex(32)})
        held = state.read(KEY_OBJECT)
        assert held is not None
    return bytes.fromhex(held[0]["key"])
