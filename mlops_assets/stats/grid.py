"""Choose the bins of every monitored column from training data; they stay fixed for the life of a model version."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from mlops_assets.stats.columns import category_counts, sorted_values

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Kind = Literal["numeric", "categorical"]
QUANTILES = 120  # a multiple of 10, so that the deciles are edges too
DECILE = QUANTILES // 10
FEW_EDGES = 11  # up to here every edge bounds a PSI bin: constants and small codes have no deciles worth the name
MAX_CATEGORIES = 200


@dataclass(frozen=True)
class NumericGrid:
    """Bins of one numeric column: `(-inf, e0), [e0, e1), ..., [en, inf)`.

    Attributes:
        edges: Ascending quantiles of the training data, its minimum, and the float after its maximum.
        coarse: The `edges` (as positions) that bound the about 10 bins on which PSI is computed.
    """

    edges: tuple[float, ...]
    coarse: tuple[int, ...]


@dataclass(frozen=True)
class Grid:
    """The bins of every monitored column, fixed when a model is trained."""

    numeric: dict[str, NumericGrid]
    categorical: dict[str, tuple[str, ...]]
    schema_version: int = 1

    @property
    def id(self) -> str:
        """Return a short name that is equal exactly for equal grids."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]


def build_grid(table: pa.Table, kinds: Mapping[str, Kind]) -> Grid:
    """Choose the bins from training data.

    Args:
        table: Training rows; columns that `kinds` does not name are ignored.
        kinds: Columns to monitor, and how to count them.
    """
    return Grid(
        numeric={name: _numeric_grid(sorted_values(table, name)) for name, kind in kinds.items() if kind == "numeric"},
        categorical={name: _top_categories(table, name) for name, kind in kinds.items() if kind == "categorical"},
    )


def _numeric_grid(values: np.ndarray) -> NumericGrid:
    import numpy as np

    finite = values[~np.isnan(values)]
    if not len(finite):
        return NumericGrid((), ())
    inner = np.quantile(finite, np.arange(1, QUANTILES) / QUANTILES, method="inverted_cdf")
    ends = finite[0], np.nextafter(finite[-1], np.inf)
    edges = np.unique([*ends, *inner])
    deciles = np.unique(inner[DECILE - 1 :: DECILE]) if len(edges) > FEW_EDGES else edges
    return NumericGrid(tuple(edges.tolist()), tuple(np.searchsorted(edges, deciles).tolist()))


def _top_categories(table: pa.Table, name: str) -> tuple[str, ...]:
    counts = category_counts(table, name)
    known = sorted((value for value in counts if value is not None), key=lambda value: (-counts[value], value))
    return tuple(known[:MAX_CATEGORIES])
