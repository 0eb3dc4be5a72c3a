"""The rows of a load, cut into windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from mlops_assets.lake.windows import Window


def split(table: pa.Table, windows: Sequence[Window], *, column: str) -> list[tuple[Window, pa.Table]]:
    """Return the rows of each window; rows that belong to none go with the first, whose audit sets them aside."""
    import pyarrow as pa
    import pyarrow.compute as pc

    instants = table[column].cast(pa.timestamp("us", "UTC"))
    elsewhere = pc.is_null(instants)
    masks: list[pa.Array] = []
    for window in windows:
        start, end = (pa.scalar(at, instants.type) for at in (window.start, window.end))
        masks.append(pc.fill_null(pc.and_(pc.greater_equal(instants, start), pc.less(instants, end)), False))
    inside = masks[0]
    for mask in masks[1:]:
        inside = pc.or_(inside, mask)
    elsewhere = pc.or_(elsewhere, pc.invert(inside))
    masks[0] = pc.or_(masks[0], elsewhere)
    return [(window, table.filter(mask)) for window, mask in zip(windows, masks, strict=True)]
