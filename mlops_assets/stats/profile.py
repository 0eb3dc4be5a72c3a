"""Count a table on fixed bins: kilobytes that stand for a window, and that add up over windows and machines.

Add here: what is counted. Keep out: comparing two profiles (distances.py) and deciding (monitoring/).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Literal

import msgspec

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Kind = Literal["numeric", "categorical"]
QUANTILES = 120  # a multiple of 10, so that the deciles are edges too
DECILE = QUANTILES // 10
MAX_CATEGORIES = 200


class GridMismatch(MlopsError):
    """Two profiles were counted on different bins."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(
            "adding profiles",
            found=f"grids {left} and {right}",
            required="one grid",
            remedy="Profile both windows again on the same grid.",
        )


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


@dataclass(frozen=True)
class NumericCounts:
    """One numeric column of one window; `counts` has one entry per bin, and infinities count as missing."""

    counts: tuple[int, ...]
    missing: int
    low: float | None
    high: float | None
    total: float
    squares: float

    def __add__(self, other: NumericCounts) -> NumericCounts:
        return NumericCounts(
            counts=_sum(self.counts, other.counts),
            missing=self.missing + other.missing,
            low=min((x for x in (self.low, other.low) if x is not None), default=None),
            high=max((x for x in (self.high, other.high) if x is not None), default=None),
            total=self.total + other.total,
            squares=self.squares + other.squares,
        )


@dataclass(frozen=True)
class CategoricalCounts:
    """One categorical column of one window; `counts` follows the grid's categories, `other` is everything else."""

    counts: tuple[int, ...]
    other: int
    missing: int

    def __add__(self, other: CategoricalCounts) -> CategoricalCounts:
        return CategoricalCounts(
            _sum(self.counts, other.counts), self.other + other.other, self.missing + other.missing
        )


@dataclass(frozen=True)
class Profile:
    """What a window looks like, column by column. Profiles on one grid add up: `day + day`, `sum_profiles(weeks)`."""

    grid_id: str
    rows: int
    numeric: dict[str, NumericCounts]
    categorical: dict[str, CategoricalCounts]
    schema_version: int = 1

    def __add__(self, other: Profile) -> Profile:
        if self.grid_id != other.grid_id:
            raise GridMismatch(self.grid_id, other.grid_id)
        return Profile(
            grid_id=self.grid_id,
            rows=self.rows + other.rows,
            numeric={name: counts + other.numeric[name] for name, counts in self.numeric.items()},
            categorical={name: counts + other.categorical[name] for name, counts in self.categorical.items()},
        )

    def to_json(self) -> bytes:
        """Return the profile as JSON; the same profile gives the same bytes."""
        return msgspec.json.encode(self, order="deterministic")

    @classmethod
    def from_json(cls, data: bytes) -> Profile:
        """Read what `to_json` wrote."""
        return msgspec.json.decode(data, type=cls)


def sum_profiles(profiles: list[Profile]) -> Profile:
    """Return the profile of all windows together; at least one is required."""
    return reduce(add, profiles)


def build_grid(table: pa.Table, kinds: Mapping[str, Kind]) -> Grid:
    """Choose the bins from training data.

    Args:
        table: Training rows; columns that `kinds` does not name are ignored.
        kinds: Columns to monitor, and how to count them.
    """
    return Grid(
        numeric={name: _numeric_grid(_values(table, name)) for name, kind in kinds.items() if kind == "numeric"},
        categorical={name: _top_categories(table, name) for name, kind in kinds.items() if kind == "categorical"},
    )


def profile(table: pa.Table, grid: Grid) -> Profile:
    """Count `table` on `grid` in one pass per column; an absent column counts as missing in every row."""
    return Profile(
        grid_id=grid.id,
        rows=table.num_rows,
        numeric={name: _count_numeric(_values(table, name), bins) for name, bins in grid.numeric.items()},
        categorical={name: _count_categories(table, name, known) for name, known in grid.categorical.items()},
    )


def _sum(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _values(table: pa.Table, name: str) -> np.ndarray:
    """Return the column as ascending floats with whatever is missing or infinite at the end as NaN."""
    import numpy as np
    import pyarrow as pa

    if name not in table.column_names or pa.types.is_null(table.schema.field(name).type):
        return np.full(table.num_rows, np.nan)
    values = table.column(name).cast(pa.float64()).to_numpy()
    return np.sort(np.where(np.isfinite(values), values, np.nan))


def _numeric_grid(values: np.ndarray) -> NumericGrid:
    import numpy as np

    finite = values[~np.isnan(values)]
    if not len(finite):
        return NumericGrid((), ())
    inner = np.quantile(finite, np.arange(1, QUANTILES) / QUANTILES, method="inverted_cdf")
    ends = finite[0], np.nextafter(finite[-1], np.inf)
    edges = np.unique([*ends, *inner])
    deciles = np.unique(inner[DECILE - 1 :: DECILE]) if len(edges) > 11 else edges
    return NumericGrid(tuple(edges.tolist()), tuple(np.searchsorted(edges, deciles).tolist()))


def _count_numeric(values: np.ndarray, bins: NumericGrid) -> NumericCounts:
    import numpy as np

    finite = values[: len(values) - int(np.isnan(values).sum())]
    below = np.searchsorted(finite, bins.edges)
    return NumericCounts(
        counts=tuple(np.diff(below, prepend=0, append=len(finite)).tolist()),
        missing=len(values) - len(finite),
        low=float(finite[0]) if len(finite) else None,
        high=float(finite[-1]) if len(finite) else None,
        total=float(finite.sum()),
        squares=float(finite @ finite),
    )


def _category_counts(table: pa.Table, name: str) -> dict[str | None, int]:
    import pyarrow as pa

    if name not in table.column_names:
        return {None: table.num_rows}
    counted = table.column(name).cast(pa.string()).value_counts()
    return {entry["values"]: entry["counts"] for entry in counted.to_pylist()}


def _top_categories(table: pa.Table, name: str) -> tuple[str, ...]:
    counts = _category_counts(table, name)
    known = sorted((value for value in counts if value is not None), key=lambda value: (-counts[value], value))
    return tuple(known[:MAX_CATEGORIES])


def _count_categories(table: pa.Table, name: str, known: tuple[str, ...]) -> CategoricalCounts:
    counts = _category_counts(table, name)
    missing = counts.pop(None, 0)
    listed = tuple(counts.pop(value, 0) for value in known)
    return CategoricalCounts(counts=listed, other=sum(counts.values()), missing=missing)
