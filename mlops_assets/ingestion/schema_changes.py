"""Columns that a source brings and nobody declared: an event that others can read.

Keep out: what becomes of such a column; its contract says so (`new_columns`).
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from mlops_assets.lake.state import open_state

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa

    from mlops_assets.ingestion.part import Part
    from mlops_assets.lake.tables import Snapshot


def schema_changes(part: Part, rows: pa.Table, held: Snapshot | None, told: Collection[str] = ()) -> dict[str, str]:
    """Return the type of each column that is neither declared nor published, nor told by a window just before."""
    known = {*part.table.spec.columns, *(() if held is None else held.schema.names), *told}
    return {field.name: str(field.type) for field in rows.schema if field.name not in known}


def note_schema_changes(part: Part, columns: dict[str, str]) -> None:
    """Store the event `schema_changes/<source>/<table>/<id>`, once for the same columns."""
    if not columns:
        return
    name = hashlib.sha256(json.dumps(columns, sort_keys=True).encode()).hexdigest()[:16]
    event = {
        "source": part.table.source.name,
        "table": part.table.name,
        "window": part.key,
        "columns": columns,
        "load_id": part.load_id,
        "at": part.now.isoformat(),
    }
    open_state(part.table.lake).put_if_absent(f"schema_changes/{part.table.reference}/{name}", event)
