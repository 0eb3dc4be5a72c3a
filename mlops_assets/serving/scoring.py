"""One loaded version: rows in, scores and the vectors they were made of out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_assets.clock import Clock, SystemClock
from mlops_assets.features.online.plan import LookupPlan, from_json
from mlops_assets.serving.arm import Scored
from mlops_assets.serving.columns import Assembler
from mlops_assets.serving.ladder import choose
from mlops_assets.serving.lookup import Lookup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from mlops_assets.features.online.schema import Schema
    from mlops_assets.predictor.manifest import Manifest
    from mlops_assets.rollout.state import Route
    from mlops_assets.serving.body import ColumnType, Record
    from mlops_assets.serving.ladder import Ladder
    from mlops_assets.serving.online import GuardedStore


class LoadedArm:
    """See `arm.Arm`.

    Args:
        ladder: How it scores.
        lookup: None where the model looks nothing up.
    """

    def __init__(self, route: Route, ladder: Ladder, plan: LookupPlan, lookup: Lookup | None) -> None:
        predictor = ladder.predictor
        self.route, self.ladder, self.predictor = route, ladder, predictor
        self.columns: Mapping[str, ColumnType] = columns_of(predictor.manifest, plan)
        self._assembler = Assembler(predictor.manifest, predictor.request_features, lookup)
        self._classes = predictor.manifest.classes

    @property
    def rung(self) -> str:
        return self.ladder.rung

    @property
    def refused(self) -> Mapping[str, str]:
        return self.ladder.refused

    @property
    def manifest(self) -> Manifest:
        return self.predictor.manifest

    def score(self, rows: Sequence[Record], *, until: float) -> Scored:
        """See `arm.Arm`."""
        vectors = self._assembler.vectors(rows, until)
        scores = self.ladder.score(vectors.columns)
        return Scored(predictions(scores, self._classes), vectors.columns, vectors.as_of, vectors.defaulted)


@dataclass(frozen=True)
class ArmLoader:
    """Loads versions; the arms of a worker share one store.

    Attributes:
        store: Where looked-up features are; None: they are their fallbacks.
        clock: Says of which age a looked-up feature is.
    """

    store: GuardedStore | None = None
    clock: Clock = field(default_factory=SystemClock)

    def __call__(self, route: Route) -> LoadedArm:
        """Load a version, choose its rung and meet the store, so that the first request finds everything warm.

        Raises:
            MlopsError: It cannot be loaded (`predictor.artifact.load`).
        """
        from mlops_assets.predictor.artifact import load

        predictor = load(route.artifact_uri)
        plan = from_json(predictor.manifest.lookup)
        lookup = Lookup(plan, self.store, self.clock) if plan.features else None
        if lookup is not None:
            lookup.warm()
        return LoadedArm(route, choose(predictor), plan, lookup)


def columns_of(manifest: Manifest, plan: LookupPlan) -> dict[str, ColumnType]:
    """Return the columns that a request for a model may have: features, inputs, and whatever says for whom it asks."""
    from mlops_assets.features.online.schema import INTEGERS

    known: dict[str, ColumnType] = dict(manifest.features)
    for name in manifest.request_inputs:
        known.setdefault(name, manifest.input_kinds.get(name, "any"))
    for name, kind in {**plan.columns, **_entities(plan.views)}.items():
        if kind in INTEGERS:
            known[name] = "integer"
        else:
            known.setdefault(name, "categorical" if kind == "string" else "any")
    return known


def _entities(views: Sequence[Schema]) -> dict[str, str]:
    return {name: kind for schema in views for name, kind in schema.entity}


def predictions(scores: np.ndarray[Any, Any], classes: Sequence[str]) -> list[Any]:
    """Return scores as they are replied (see `reply.EXAMPLES`); the first of equally probable classes is predicted."""
    if not classes:
        return scores.tolist()
    best = scores.argmax(axis=1).tolist()
    return [
        {"class": classes[place], "probabilities": dict(zip(classes, row, strict=True))}
        for place, row in zip(best, scores.tolist(), strict=True)
    ]
