"""Rows parted into those to publish and those to set aside, by the numbers of the rows that break each rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    from mlops_assets.contract.findings import Broken


def part(rows: pa.Table, broken: Sequence[Broken], *, facts: Mapping[str, pa.Scalar]) -> tuple[pa.Table, pa.Table]:
    """Return the clean rows, and the others with `failed_rules` and `facts`; both keep their order.

    Args:
        broken: One for each rule. Rows that only break rules of severity warn are clean.
        facts: The same for every row set aside, by column.
    """
    import numpy as np
    import pyarrow as pa

    is_aside = np.zeros(rows.num_rows, dtype=bool)
    for one in broken:
        if one.severity != "warn":
            is_aside[one.rows] = True
    aside = _where(rows, is_aside).append_column("failed_rules", _failed_rules(broken, is_aside))
    for name, value in facts.items():
        aside = aside.append_column(name, pa.repeat(value, aside.num_rows))
    return _where(rows, ~is_aside), aside


def _where(rows: pa.Table, keep: np.ndarray) -> pa.Table:
    """Filter batch by batch, whole batches as they are: Arrow's filter of a table costs five times as much."""
    import pyarrow as pa

    batches, start = [], 0
    for batch in rows.to_batches():
        wanted = keep[start : start + batch.num_rows]
        if wanted.any():
            batches.append(batch if wanted.all() else batch.filter(pa.array(wanted)))
        start += batch.num_rows
    return pa.Table.from_batches(batches, rows.schema)


def _failed_rules(broken: Sequence[Broken], is_aside: np.ndarray) -> pa.ListArray:
    """Return for each row set aside the names of the rules that it breaks, in their order."""
    import numpy as np
    import pyarrow as pa

    numbers = np.concatenate([np.empty(0, dtype=np.int64), *(one.rows for one in broken)])
    rules = np.repeat(np.arange(len(broken)), [len(one.rows) for one in broken])
    numbers, rules = numbers[is_aside[numbers]], rules[is_aside[numbers]]
    names = pa.array([one.rule for one in broken], pa.string()).take(
        pa.array(rules[np.argsort(numbers, kind="stable")])
    )
    _, counts = np.unique(numbers, return_counts=True)
    return pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(counts)), pa.int32()), names)
