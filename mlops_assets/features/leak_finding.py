"""How the rows of a training set differ from what was known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.features.comparison import ROW, compare

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.features.comparison import Difference

SPINE_ROW = "the row of the spine"


@dataclass(frozen=True)
class LeakFinding:
    """A feature whose value in the training set could not have been known.

    Attributes:
        feature: Its name, or `the row of the spine` when the prediction itself could not have been asked for.
        rows: Rows that differ.
        largest_error: Largest difference of a number; None for text, nulls and missing rows.
        example: One such row: when, what stands in the training set, what could have been known.
    """

    feature: str
    rows: int
    largest_error: float | None
    example: str

    def __str__(self) -> str:
        error = "" if self.largest_error is None else f", by up to {self.largest_error:.4g}"
        return f"{self.feature}: {self.rows} rows hold what was not known at prediction time{error} ({self.example})"


def differences(
    con: duckdb.DuckDBPyConnection,
    wanted: pa.Table,
    known: pa.Table,
    *,
    keys: Sequence[str],
    names: Sequence[str],
    at: datetime,
) -> list[LeakFinding]:
    """Return how the rows of one prediction time differ from those with the same keys among what was known."""
    return [_finding(one, at) for one in compare(con, wanted, known, keys=keys, names=names)]


def summarise(findings: Sequence[LeakFinding]) -> tuple[LeakFinding, ...]:
    """Return one finding for each feature, with its first example."""
    features = dict.fromkeys(one.feature for one in findings)
    return tuple(_merged([one for one in findings if one.feature == feature]) for feature in features)


def _finding(one: Difference, at: datetime) -> LeakFinding:
    when = f"at {at.isoformat()}"
    if one.column == ROW:
        return LeakFinding(SPINE_ROW, one.rows, None, f"{when}: not there yet")
    example = f"{when}: {one.found!r} in the training set, {one.expected!r} was known"
    return LeakFinding(one.column, one.rows, one.largest_error, example)


def _merged(findings: Sequence[LeakFinding]) -> LeakFinding:
    errors = [one.largest_error for one in findings if one.largest_error is not None]
    rows = sum(one.rows for one in findings)
    return LeakFinding(findings[0].feature, rows, max(errors, default=None), findings[0].example)
