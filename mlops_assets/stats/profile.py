"""Count a table on fixed bins: kilobytes that stand for a window, and that add up over windows and machines.

Add here: what is counted. Keep out: choosing the bins (grid.py), comparing (distances.py), deciding (monitoring/).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.errors import MlopsError
from mlops_assets.stats.columns import category_counts, sorted_values

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.stats.grid import Grid, NumericGrid


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
class NumericCounts:
    """One numeric column of one window; `counts` has one entry per bin, and infinities count as missing."""

    counts: tuple[int, ...]
    missing: int
    low: float | None
    high: float | None
    total: float
    squares: float

    @property
    def bins(self) -> tuple[int, ...]:
        """Return all rows that have a value, by bin."""
        return self.counts

    @property
    def missing_share(self) -> float:
        """Return the share of rows without a value; 0 of no rows."""
        return _share(self.missing, sum(self.bins))

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

    @property
    def bins(self) -> tuple[int, ...]:
        """Return all rows that have a value, by bin; the last bin is everything that the grid does not list."""
        return (*self.counts, self.other)

    @property
    def missing_share(self) -> float:
        """Return the share of rows without a value; 0 of no rows."""
        return _share(self.missing, sum(self.bins))

    @property
    def other_share(self) -> float:
        """Return the share of unlisted categories among the rows that have a value."""
        return _share(self.other, sum(self.counts))

    def __add__(self, other: CategoricalCounts) -> CategoricalCounts:
        return CategoricalCounts(
            _sum(self.counts, other.counts), self.other + other.other, self.missing + other.missing
        )


@dataclass(frozen=True)
class Profile:
    """What a window looks like, column by column. Profiles on one grid add up: days to weeks, parts to a whole."""

    grid_id: str
    rows: int
    numeric: dict[str, NumericCounts]
    categorical: dict[str, CategoricalCounts]
    schema_version: int = 1

    def column(self, name: str) -> NumericCounts | CategoricalCounts:
        """Return the counts of one column."""
        return self.numeric[name] if name in self.numeric else self.categorical[name]

    def __add__(self, other: Profile) -> Profile:
        if self.grid_id != other.grid_id:
            raise GridMismatch(self.grid_id, other.grid_id)
        return Profile(
            grid_id=self.grid_id,
            rows=self.rows + other.rows,
            numeric={name: counts + other.numeric[name] for name, counts in self.numeric.items()},
            categorical={name: counts + other.categorical[name] for name, counts in self.categorical.items()},
        )

    @property
    def id(self) -> str:
        """Return a short name that is equal exactly for equal profiles."""
        return hashlib.sha256(self.to_json()).hexdigest()[:16]

    def to_json(self) -> bytes:
        """Return the profile as JSON; the same profile gives the same bytes."""
        return msgspec.json.encode(self, order="deterministic")

    @classmethod
    def from_json(cls, data: bytes) -> Profile:
        """Read what `to_json` wrote."""
        return decoder(cls).decode(data)


def profile(table: pa.Table, grid: Grid) -> Profile:
    """Count `table` on `grid` in one pass per column; an absent column counts as missing in every row."""
    return Profile(
        grid_id=grid.id,
        rows=table.num_rows,
        numeric={name: _count_numeric(sorted_values(table, name), bins) for name, bins in grid.numeric.items()},
        categorical={name: _count_categories(table, name, known) for name, known in grid.categorical.items()},
    )


def _sum(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _share(part: int, rest: int) -> float:
    return part / (part + rest) if part else 0.0


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


def _count_categories(table: pa.Table, name: str, known: tuple[str, ...]) -> CategoricalCounts:
    counts = category_counts(table, name)
    missing = counts.pop(None, 0)
    listed = tuple(counts.pop(value, 0) for value in known)
    return CategoricalCounts(counts=listed, other=sum(counts.values()), missing=missing)
