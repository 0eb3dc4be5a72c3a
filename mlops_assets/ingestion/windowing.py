"""The rows of a load, cut into windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import numpy as np
    import pyarrow as pa

    from mlops_assets.lake.windows import Window


def split(table: pa.Table, windows: Sequence[Window], *, column: str) -> list[tuple[Window, pa.Table]]:
    """Return the rows of each window; rows that belong to none go with the first, whose audit sets them aside."""
    import numpy as np
    import pyarrow as pa

    instants = table[column].cast(pa.timestamp("us", "UTC")).to_numpy()
    starts = _instants([window.start for window in windows])
    ends = _instants([window.end for window in windows])
    place = np.clip(np.searchsorted(starts, instants, side="right") - 1, 0, None)
    place = np.where(instants < ends[place], place, 0)
    return [(window, table.filter(place == number)) for number, window in enumerate(windows)]


def _instants(times: Sequence[datetime]) -> np.ndarray:
    import numpy as np

    return np.array([at.replace(tzinfo=None) for at in times], dtype="datetime64[us]")
