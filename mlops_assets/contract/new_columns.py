"""Columns that a source delivers and nobody declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa

    from mlops_assets.contract.spec import TableSpec


def settle_new_columns(rows: pa.Table, spec: TableSpec, known: Collection[str]) -> tuple[pa.Table, dict[str, str]]:
    """Return the rows, without new columns if the table ignores these, and the type of each new column.

    Args:
        known: Columns of the published table: what it took before is no longer new.
    """
    new = {field.name: str(field.type) for field in rows.schema if field.name not in {*spec.columns, *known}}
    return (rows.drop_columns(list(new)) if spec.new_columns == "ignore" else rows), new
