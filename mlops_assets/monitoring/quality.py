"""How good the scores of a window were, once labels are in; by the version that gave them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Task = Literal["binary", "regression"]


@dataclass(frozen=True)
class Scores:
    """What the labelled rows say about the scores.

    Attributes:
        metrics: By name; None where the rows cannot tell, with the reason in `notes`.
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
        return msgspec.json.decode(data, type=cls)


def assess_quality(table: pa.Table, *, task: Task, window: str) -> Quality:
    """Measure the labelled rows of a window.

    Args:
        table: Columns `score`, `model_version`, `label`, and `status` (labelled, pending or censored), as
            `predictions.labels.join_labels` returns them.
        task: Decides the metrics: roc_auc, log_loss, brier; or rmse, mae.
        window: Key of the window.
    """
    import numpy as np

    status = np.array(table["status"].to_pylist(), dtype=object)
    versions = np.array([str(version) for version in table["model_version"].to_pylist()], dtype=object)
    labelled = status == "labelled"
    label = table["label"].to_numpy().astype(float)[labelled]
    score = table["score"].to_numpy().astype(float)[labelled]
    given_by = versions[labelled]
    return Quality(
        window=window,
        rows=table.num_rows,
        pending=int((status == "pending").sum()),
        censored=int((status == "censored").sum()),
        overall=_score(label, score, task),
        by_version={
            version: _score(label[given_by == version], score[given_by == version], task)
            for version in sorted(set(versions))
        },
    )


def _score(label: np.ndarray, score: np.ndarray, task: Task) -> Scores:
    names = ("roc_auc", "log_loss", "brier") if task == "binary" else ("rmse", "mae")
    if not len(label):
        return Scores(0, dict.fromkeys(names), None, None, ("no row has a label yet",))
    metrics, notes = _binary(label, score) if task == "binary" else (_regression(label, score), ())
    return Scores(len(label), metrics, float(score.mean()), float(label.mean()), notes)


def _binary(label: np.ndarray, score: np.ndarray) -> tuple[dict[str, float | None], tuple[str, ...]]:
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    losses = {
        "log_loss": float(log_loss(label, score, labels=[0, 1])),
        "brier": float(brier_score_loss(label, score, pos_label=1)),
    }
    if label.min() == label.max():
        return {"roc_auc": None, **losses}, (f"roc_auc needs both classes; every label is {label[0]:g}",)
    return {"roc_auc": float(roc_auc_score(label, score)), **losses}, ()


def _regression(label: np.ndarray, score: np.ndarray) -> dict[str, float | None]:
    import numpy as np

    error = score - label
    return {"rmse": float(np.sqrt((error**2).mean())), "mae": float(np.abs(error).mean())}
