"""The rows that a candidate is judged on, as plain vectors: labels, scores, blocks and groups.

Add here: what a criterion needs to know of the test rows. Keep out: criteria.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.training.split import prediction_times

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.evaluation.spec import GateSpec

    Vector = np.ndarray[Any, Any]

DAY = "day"
MISSING = "missing"


class UnknownColumn(MlopsError):
    """The gate names a column that the training set does not have."""

    def __init__(self, place: str, column: str, columns: list[str]) -> None:
        super().__init__(
            f"{place} {column!r}",
            found=f"columns {', '.join(columns)}",
            required=f"{f'`{DAY}` or ' if place == 'gate.block' else ''}one of these columns",
            remedy=f"Correct `{place}`, or let the spine select that column.",
        )


@dataclass(frozen=True)
class TestRows:
    """All vectors belong to the same rows.

    Attributes:
        y: Labels; of a multiclass model positions of its classes.
        candidate: Its scores.
        champion: Scores of the present champion, or None if there is none.
        champion_unseen: Mask of the rows that the champion was not trained on; None means all of them.
        baseline: Scores of the trivial baseline.
        blocks: Block of each row for the bootstrap.
        groups: Group of each row, as text, by the column that a slice or a fairness criterion names.
    """

    __test__ = False  # not a test case, whatever pytest makes of its name

    y: Vector
    candidate: Vector
    champion: Vector | None
    champion_unseen: Vector | None
    baseline: Vector
    blocks: Vector
    groups: Mapping[str, Vector] = field(default_factory=dict)


def require_columns(table: pa.Table, gate: GateSpec) -> None:
    """Look for every column that the gate names, before any test row is read.

    Raises:
        UnknownColumn: One is not there.
    """
    named = [("gate.block", gate.block)] if gate.block != DAY else []
    named += [("gate.slices.by", one.by) for one in gate.slices] + [
        ("gate.fairness.by", one.by) for one in gate.fairness
    ]
    named += [("gate.baseline_by", column) for column in gate.baseline_by]
    for place, column in named:
        if column not in table.column_names:
            raise UnknownColumn(place, column, table.column_names)


def block_of_rows(table: pa.Table, block: str) -> Vector:
    """Return the block of each row: its calendar day (UTC), or its value in a column as text."""
    if block == DAY:
        return prediction_times(table).astype("datetime64[us]").astype("datetime64[D]")
    return texts(table, block)


def groups_of_rows(table: pa.Table, gate: GateSpec) -> dict[str, Vector]:
    """Return the group of each row by each column that slices and fairness name."""
    return {by: group_of_rows(table, by) for by in {one.by for one in (*gate.slices, *gate.fairness)}}


def group_of_rows(table: pa.Table, by: str) -> Vector:
    """Return the value of each row as text; numbers of more than four values as the quarter that they are in.

    >>> import pyarrow as pa
    >>> group_of_rows(pa.table({"size": [1, 2, 3, 4, 5, None]}), "size").tolist()
    ['<= 2', '<= 2', '2 to 3', '3 to 4', '> 4', 'missing']
    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import types

    kind = table[by].type
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
        return texts(table, by)
    values = table[by].cast(pa.float64()).to_numpy()
    known = values[np.isfinite(values)]
    if len(np.unique(known)) <= 4:  # noqa: PLR2004  quarters of so few values are the values
        return np.where(np.isfinite(values), np.char.mod("%g", values), MISSING)
    edges = np.unique(np.quantile(known, (0.25, 0.5, 0.75)))
    between = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    names = np.array([f"<= {edges[0]:g}", *between, f"> {edges[-1]:g}", MISSING])
    return names[np.where(np.isfinite(values), np.searchsorted(edges, values, side="left"), -1)]


def texts(table: pa.Table, column: str) -> Vector:
    """Return the values of a column as text, `missing` where there is none."""
    import pyarrow as pa

    coded = table[column].combine_chunks().cast(pa.string()).fill_null(MISSING).dictionary_encode()
    return coded.dictionary.to_numpy(zero_copy_only=False).astype(str)[coded.indices.to_numpy()]
