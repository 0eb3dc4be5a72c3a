"""The predictions of one window with the labels that are known by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.features.spine import window_spine
from mlops_assets.lake.tables import read
from mlops_assets.predictions.labels import join_labels
from mlops_assets.predictions.score import predictions_uri
from mlops_assets.predictor.artifact import read_manifest
from mlops_assets.rollout.routing import read_routing

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    import pyarrow as pa

    from mlops_assets.features.definition import VectorDefinition
    from mlops_assets.lake.state import StateStore
    from mlops_assets.lake.windows import Window


def labelled_window(
    lake: str, model: str, definition: VectorDefinition, *, window: Window, label_timeout: timedelta, now: datetime
) -> pa.Table:
    """Return the predictions of a window with `label`, `label_known_at` and `status` (see `join_labels`)."""
    spine = window_spine(definition, lake=lake, window=window)
    scored = read(predictions_uri(lake, model), window=window.key)
    return join_labels(scored, spine, keys=definition.spine.keys, label_timeout=label_timeout, now=now)


def classes_of_versions(state: StateStore, model: str, predictions: pa.Table) -> dict[int, tuple[str, ...]]:
    """Return the classes of each version that gave the predictions, in the order of its probabilities."""
    stored, versions = read_routing(state, model), set(predictions["model_version"].to_pylist())
    routed = {entry.route.version: entry.route.artifact_uri for entry in stored[0].history} if stored else {}
    return {version: read_manifest(uri).classes for version, uri in routed.items() if version in versions}
