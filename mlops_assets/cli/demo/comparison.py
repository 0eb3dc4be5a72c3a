"""How the served versions did, beside the first version had it never been replaced."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.cli.demo.story import MODEL
from mlops_assets.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.assets.model import Model


@dataclass(frozen=True)
class Aucs:
    """Areas under the ROC curve of one week; none where a week has only one class."""

    served: float | None
    first: float | None


def compare_weeks(settings: Settings, windows: Sequence[str]) -> list[Aucs]:
    """Score the vectors of each week with the first version too, and measure both on the labels known by now."""
    from mlops_assets.assets.model import resolve_model
    from mlops_assets.components.catalog import read_catalog
    from mlops_assets.definitions import DEFS
    from mlops_assets.lake.state import open_state
    from mlops_assets.predictor.artifact import load
    from mlops_assets.rollout.routing import read_routing

    model = resolve_model(read_catalog(DEFS), MODEL)
    stored = read_routing(open_state(settings.lake), MODEL)
    if stored is None:
        return [Aucs(None, None) for _ in windows]
    first = load(stored[0].history[0].route.artifact_uri)
    weeks = (_labelled(settings, model, window) for window in windows)
    return [Aucs(_auc(week, week["score"].to_numpy()), _auc(week, first.predict(week))) for week in weeks]


def _labelled(settings: Settings, model: "Model", window: str) -> "pa.Table":
    from mlops_assets.clock import open_clock
    from mlops_assets.predictions.labelled import labelled_window

    rows = labelled_window(
        settings.lake,
        model.name,
        model.definition(),
        window=next(one for one in model.partitions.windows() if one.key == window),
        label_timeout=model.label_timeout,
        now=open_clock(settings.home).now(),
    )
    return rows.filter([status == "labelled" for status in rows["status"].to_pylist()])


def _auc(rows: "pa.Table", scores: "np.ndarray") -> float | None:
    from mlops_assets.stats.metrics import METRICS

    auc = METRICS["roc_auc"](rows["label"].to_numpy(), scores)
    return None if math.isnan(auc) else auc
