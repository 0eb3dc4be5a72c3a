"""Read one column of a table as what is counted: ascending numbers, or categories and how often they occur."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

INFINITE = 1e150  # from here on a sum of squares overflows; such a value is no measurement


def sorted_values(table: pa.Table, name: str) -> np.ndarray:
    """Return the column as ascending floats, with NaN at the end for whatever is missing, infinite or absent."""
    import numpy as np
    import pyarrow as pa

    if name not in table.column_names or pa.types.is_null(table.schema.field(name).type):
        return np.full(table.num_rows, np.nan)
    values = table.column(name).cast(pa.float64()).to_numpy()
    return np.sort(np.where(np.abs(values) < INFINITE, values, np.nan))


def category_counts(table: pa.Table, name: str) -> dict[str | None, int]:
    """Return how often each value occurs, as text; an absent column counts as None in every row."""
    import pyarrow as pa

    if name not in table.column_names:
        return {None: table.num_rows}
    counted = table.column(name).cast(pa.string()).value_counts()
    return {entry["values"]: entry["counts"] for entry in counted.to_pylist()}
