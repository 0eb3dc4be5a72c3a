"""How good the scores of a window were, once labels are in; by the version that gave them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.predictor.outputs import PROBABILITIES, SCORE
from mlops_assets.stats.metrics import METRICS, TASK_METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    from mlops_assets.predictor.signature import Task

    Vector = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Scores:
    """What the labelled rows say about the scores.

    Attributes:
        metrics: By name; None where the rows cannot tell, with the reason in `notes`.
        score_mean: Of a multiclass model the mean probability of the predicted class, to be held against `accuracy`.
        label_mean: None for a multiclass model.
    """

    labelled: int
    metrics: dict[str, float | None]
    score_mean: float | None
    label_mean: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quality:
    """One window: how many labels are in, and what they say.

    Attributes:
        pending: Rows whose label may still come.
        censored: Rows whose label will never come; neither they nor pending ones are imputed.
        by_version: The same for each model version that scored rows of the window.
    """

    window: str
    rows: int
    pending: int
    censored: int
    overall: Scores
    by_version: dict[str, Scores]
    schema_version: int = 1

    def to_json(self) -> bytes:
        """Return the quality as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> Quality:
        """Read what `to_json` wrote."""
        return decoder(cls).decode(data)


def assess_quality(
    table: pa.Table, *, task: Task, window: str, classes: Mapping[int, Sequence[str]] | None = None
) -> Quality:
    """Measure the labelled rows of a window.

    Args:
        table: Columns `score` (and `probabilities` of a multiclass model), `model_version`, `label`, and `status`
            (labelled, pending or censored), as `predictions.labels.join_labels` returns them.
        task: Decides the metrics (`stats.metrics.TASK_METRICS`).
        window: Key of the window.
        classes: Classes of each multiclass version, in the order of its probabilities.
    """
    import numpy as np

    status = np.array(table["status"].to_pylist(), dtype=object)
    versions = np.array(table["model_version"].to_pylist(), dtype=object)
    rows, given_by = table.filter(status == "labelled"), versions[status == "labelled"]
    measured = _of_classes(rows, given_by, classes or {}) if task == "multiclass" else _of_numbers(rows)
    return Quality(
        window=window,
        rows=table.num_rows,
        pending=int((status == "pending").sum()),
        censored=int((status == "censored").sum()),
        overall=_scores(measured, np.ones(rows.num_rows, dtype=bool), task),
        by_version={str(version): _scores(measured, given_by == version, task) for version in sorted(set(versions))},
    )


@dataclass(frozen=True)
class _Measured:
    """The labelled rows as the metrics take them.

    Attributes:
        certainty: The column `score`.
        names: Of the classes, by position: those of the versions, then labels that are none of them.
        known: How many of the names a version knows.
    """

    label: Vector
    score: Vector
    certainty: Vector
    names: Sequence[str] = ()
    known: int = 0


def _of_numbers(rows: pa.Table) -> _Measured:
    label, score = (rows[name].to_numpy().astype(float) for name in ("label", SCORE))
    return _Measured(label, score, score)


def _of_classes(rows: pa.Table, given_by: Vector, classes: Mapping[int, Sequence[str]]) -> _Measured:
    """Bring the probabilities of all versions under one set of columns; a class that a version lacks has none."""
    import numpy as np
    import pyarrow as pa

    labels: list[str] = rows["label"].cast(pa.string()).to_pylist()
    known = sorted({name for version in set(given_by) for name in classes[version]})
    names = [*known, *sorted(set(labels) - set(known))]
    column = {name: place for place, name in enumerate(names)}
    score = np.zeros((len(labels), len(names)))
    for row, (version, given) in enumerate(zip(given_by, rows[PROBABILITIES].to_pylist(), strict=True)):
        score[row, [column[name] for name in classes[version]]] = given
    label = np.array([column[name] for name in labels], dtype=float)
    return _Measured(label, score, rows[SCORE].to_numpy().astype(float), names, len(known))


def _scores(measured: _Measured, chosen: Vector, task: Task) -> Scores:
    label, score = measured.label[chosen], measured.score[chosen]
    if not len(label):
        return Scores(0, dict.fromkeys(TASK_METRICS[task]), None, None, ("no row has a label yet",))
    values = {name: METRICS[name](label, score) for name in TASK_METRICS[task]}
    return Scores(
        labelled=len(label),
        metrics={name: None if math.isnan(value) else value for name, value in values.items()},
        score_mean=float(measured.certainty[chosen].mean()),
        label_mean=None if task == "multiclass" else float(label.mean()),
        notes=tuple(_notes(measured, label, [name for name, value in values.items() if math.isnan(value)])),
    )


def _notes(measured: _Measured, label: Vector, undefined: Sequence[str]) -> Iterator[str]:
    import numpy as np

    found = np.unique(label)
    if undefined and len(found) == 1:
        only = measured.names[int(found[0])] if measured.names else f"{found[0]:g}"
        yield f"{', '.join(undefined)}: undefined where every label is {only}"
    if measured.names and found[-1] >= measured.known:
        unseen = [measured.names[int(place)] for place in found if place >= measured.known]
        yield f"labels that no version was trained on: {', '.join(unseen)}"
