"""Feature views as a Feast repository: their rows as Parquet files, and the definitions that Feast applies.

Feast itself is not needed to write it. Add here: what Feast has to know of a view. Keep out: reading Feast (`ingestion`).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.features.compute import view_uri
from mlops_assets.lake import tables
from mlops_assets.lake.files import write_bytes
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from mlops_assets.features.spec import FeatureViewSpec

STORE = """\
project: {project}
provider: local
registry: data/registry.db
entity_key_serialization_version: 3
offline_store: {{type: duckdb}}
online_store: {{type: sqlite, path: data/online.db}}
"""
HEADER = '''\
"""Feature views of {project}. `known_at` says since when a row could be used, and Feast looks at it only when asked:

    store.get_historical_features(entity_df, features=[...], filter_by_created_timestamp=True)
"""

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureView, Field, FileSource
from feast.types import Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp
from feast.value_type import ValueType

DATA = Path(__file__).parent / "data"
'''
FEAST_TYPES = {
    "bool": "Bool",
    **dict.fromkeys(("int8", "int16", "int32"), "Int32"),
    "int64": "Int64",
    "float": "Float32",
    "double": "Float64",
    **dict.fromkeys(("string", "large_string"), "String"),
    **dict.fromkeys(("binary", "large_binary"), "Bytes"),
    "timestamp[us, tz=UTC]": "UnixTimestamp",
}
ENTITY_TYPES = {"Int32": "INT32", "Int64": "INT64", "String": "STRING", "Bytes": "BYTES", "Bool": "BOOL"}


class NoFeastType(MlopsError):
    """A column has a type that Feast does not know, or not as a key."""

    def __init__(self, view: str, column: str, found: str, required: Sequence[str]) -> None:
        super().__init__(
            f"features/{view}, column {column}",
            found=f"type {found}",
            required=f"one of {', '.join(required)}",
            remedy="Cast it in the SQL of the view.",
        )


@dataclass(frozen=True)
class _Column:
    """A column of a view in Feast's words."""

    name: str
    type: str


def export_views(views: Sequence[FeatureViewSpec], *, lake: str, folder: Path, project: str) -> None:
    """Write a Feast repository of the newest tables of some views, to be registered with `feast apply`.

    Rows are copied with `event_timestamp`, and with `known_at` as the created timestamp.

    Args:
        folder: Where it goes; what an earlier export wrote there is replaced.
        project: Name of the Feast project.

    Raises:
        TableNotFound: A view was never materialised.
        NoFeastType: Feast does not know the type of a column.
    """
    import pyarrow.parquet as pq

    parts = [HEADER.format(project=project)]
    entities: dict[str, str] = {}
    for view in views:
        table = tables.read(view_uri(lake, view.name))
        entities |= {name: _entity(view.name, table, name) for name in view.entity}
        parts.append(_view(view, table))
        data = io.BytesIO()
        pq.write_table(table, data, compression="zstd")
        write_bytes(join(str(folder), "data", f"{view.name}.parquet"), data.getvalue())
    parts[1:1] = entities.values()
    write_bytes(join(str(folder), "views.py"), "\n".join(parts).encode())
    write_bytes(join(str(folder), "feature_store.yaml"), STORE.format(project=project).encode())


def _entity(view: str, table: pa.Table, name: str) -> str:
    kind = _type(view, table, name)
    if kind not in ENTITY_TYPES:
        raise NoFeastType(view, name, kind, list(ENTITY_TYPES))
    return f"entity_{name} = Entity(name={name!r}, join_keys=[{name!r}], value_type=ValueType.{ENTITY_TYPES[kind]})"


def _view(view: FeatureViewSpec, table: pa.Table) -> str:
    ttl = None if view.ttl_days is None else timedelta(days=view.ttl_days) // timedelta(microseconds=1)
    columns = [_Column(name, _type(view.name, table, name)) for name in [*view.entity, *view.features]]
    prose = {name: feature.description for name, feature in view.features.items()}
    fields = [
        f"        Field(name={c.name!r}, dtype={c.type}, description={prose.get(c.name, '')!r})," for c in columns
    ]
    return f"""
view_{view.name} = FeatureView(
    name={view.name!r},
    description={view.description!r},
    owner={", ".join(view.owners)!r},
    entities=[{", ".join(f"entity_{name}" for name in view.entity)}],
    ttl={f"timedelta(microseconds={ttl})" if ttl else "timedelta(0)"},
    online={view.online},
    schema=[
{chr(10).join(fields)}
    ],
    source=FileSource(
        name={f"{view.name}_rows"!r},
        path=str(DATA / {f"{view.name}.parquet"!r}),
        timestamp_field="event_timestamp",
        created_timestamp_column="known_at",
    ),
)
"""


def _type(view: str, table: pa.Table, name: str) -> str:
    found = str(table.schema.field(name).type)
    if found not in FEAST_TYPES:
        raise NoFeastType(view, name, found, list(FEAST_TYPES))
    return FEAST_TYPES[found]
