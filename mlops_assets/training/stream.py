"""Rows that stay in their file, for more of them than memory holds: XGBoost quantises them batch by batch.

Keep out: what is the same for rows in memory (`fit.py`).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from mlops_assets.lake.stored_table import StoredTable
from mlops_assets.predictor.frame import feature_frame
from mlops_assets.training.labels import labels
from mlops_assets.training.weights import row_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from mlops_assets.predictor.signature import Signature
    from mlops_assets.training.rows import Part

    Vector = np.ndarray[Any, Any]

SAMPLE_ROWS = 1_000_000
CELLS_IN_MEMORY = 400_000_000  # of the quantised matrix: 3 bytes each while it is made, 6 where values are missing
SEVERAL = 3  # classes from which on each has its own trees


@dataclass(frozen=True)
class StoredPart:
    """Rows of one part of the split, as they stand in the file; all but their features are in memory.

    Attributes:
        rows: Their numbers in the table, ascending.
        y: Their labels.
        weights: Weight of each row by `training.sample_weight`; None counts all alike.
    """

    table: StoredTable
    signature: Signature
    rows: Vector
    y: Vector
    weights: Vector | None


@dataclass(frozen=True)
class StreamedMatrix:
    """The rows of a part as an estimator takes them, made anew each time that they are asked for.

    Attributes:
        transform: From features to columns of numbers.
    """

    part: StoredPart
    transform: Callable[[pd.DataFrame], Vector]

    def __iter__(self) -> Iterator[tuple[Vector, slice]]:
        """Yield batches, and which of the part's rows they are."""
        start = 0
        for batch in self.part.table.batches(self.part.rows):
            yield self.transform(feature_frame(batch, self.part.signature)), slice(start, start + batch.num_rows)
            start += batch.num_rows

    @property
    def width(self) -> int:
        columns, _ = next(iter(self))
        return columns.shape[1]


def stored_part(
    table: StoredTable, signature: Signature, *, sample_weight: str | None, rows: Vector | None = None
) -> StoredPart:
    """Choose rows of a stored table by number; all if None."""
    import numpy as np

    columns = cast("pa.Table", table)  # whose single columns it gives
    rows = np.arange(table.num_rows) if rows is None else rows
    y = labels(columns, signature.task, signature.classes)[rows]
    weights = None if sample_weight is None else row_weights(columns, sample_weight)[rows]
    return StoredPart(table, signature, rows, y, weights)


def sample(table: StoredTable, rows: Vector, *, seed: int) -> pa.Table:
    """Read `SAMPLE_ROWS` of these rows by chance, in their order; all of them if there are no more."""
    import numpy as np

    if len(rows) <= SAMPLE_ROWS:
        return table.take(rows)
    chosen = np.random.default_rng(seed).choice(len(rows), SAMPLE_ROWS, replace=False, shuffle=False)
    return table.take(rows[np.sort(chosen)])


def described_by(table: pa.Table | StoredTable) -> pa.Table:
    """Return the rows that describe a model's past, such as those of its reference profile: all, or a sample of a file's."""
    import numpy as np

    return sample(table, np.arange(table.num_rows), seed=0) if isinstance(table, StoredTable) else table


def prepared(part: StoredPart, prepare: Any, *, seed: int) -> StreamedMatrix:
    """Fit a preprocessing in place on a sample of the rows, and return the rows as it makes them."""
    known = sample(part.table, part.rows, seed=seed)
    prepare.fit(feature_frame(known, part.signature))
    return StreamedMatrix(part, prepare.transform)


def boost(
    estimator: Any,
    matrix: StreamedMatrix,
    *,
    sample_weight: Vector | None = None,
    watched: tuple[Vector, Part] | None = None,
) -> None:
    """Fit an XGBoost estimator in place, as its own `fit` would.

    The bins, and so the trees, are bit for bit those of the same rows in memory; they depend neither on the batches nor
    on where the quantised matrix is kept.

    Args:
        estimator: Unfitted, with its `early_stopping_rounds` and `callbacks`.
        sample_weight: Weight of each row in the fit.
        watched: Prepared validation rows, which stop the fit, and what they are.
    """
    import xgboost

    signature = matrix.part.signature
    params, history = _params(estimator, len(signature.classes)), dict[str, Any]()
    with _quantised(estimator, matrix, sample_weight) as train:
        evals = [(train, "train")] if watched else []
        if watched:
            columns, rows = watched
            seen = xgboost.QuantileDMatrix(columns, rows.y, weight=rows.weights, ref=train, **_settings(estimator))
            evals.append((seen, "validation"))
        booster = xgboost.train(
            params,
            train,
            estimator.get_num_boosting_rounds(),
            evals=evals,
            early_stopping_rounds=estimator.early_stopping_rounds,
            evals_result=history,
            verbose_eval=False,
            callbacks=estimator.callbacks,
        )
        del train, evals  # before the scratch files go
    kept = {"_Booster": booster, "objective": params["objective"], "evals_result_": history}
    if signature.task != "regression":
        kept["n_classes_"] = max(len(signature.classes), 2)
    vars(estimator).update(kept)  # what its own `fit` keeps; `load_model` would leave other bytes behind


def _params(estimator: Any, classes: int) -> dict[str, Any]:
    params = estimator.get_xgb_params()
    return {**params, "objective": "multi:softprob", "num_class": classes} if classes >= SEVERAL else params


def _settings(estimator: Any) -> dict[str, Any]:
    return {"missing": estimator.missing, "nthread": estimator.n_jobs, "max_bin": estimator.max_bin}


@contextmanager
def _quantised(estimator: Any, matrix: StreamedMatrix, weights: Vector | None) -> Generator[Any]:
    """Yield the rows as bins; more cells than memory should hold are kept in scratch files."""
    import xgboost

    if matrix.width * len(matrix.part.rows) <= CELLS_IN_MEMORY:
        yield xgboost.QuantileDMatrix(_batches(matrix, weights), **_settings(estimator))
        return
    with TemporaryDirectory(prefix="mlops-stream-") as scratch:
        batches = _batches(matrix, weights, cache=f"{scratch}/train")
        yield xgboost.ExtMemQuantileDMatrix(batches, **_settings(estimator))


def _batches(matrix: StreamedMatrix, weights: Vector | None, *, cache: str | None = None) -> Any:
    """Return the rows as XGBoost asks for them: a batch at a time, and several times from the start."""
    from xgboost import DataIter

    class Batches(DataIter):
        batches = iter(matrix)

        def reset(self) -> None:
            self.batches = iter(matrix)

        def next(self, input_data: Callable[..., None]) -> bool:
            for columns, of in self.batches:
                weight = None if weights is None else weights[of]
                input_data(data=columns, label=matrix.part.y[of], weight=weight)
                return True
            return False

    return Batches(cache_prefix=cache)
