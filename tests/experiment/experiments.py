"""Experiments and what was seen of them, made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from scipy.stats import binom

from mlops_assets.experiment.observed import Observed, Pair, Units
from mlops_assets.experiment.plan import plan
from mlops_assets.experiment.spec import ExperimentSpec
from mlops_assets.experiment.state import Experiment
from mlops_assets.rollout.evidence import ArmSample, Sample
from mlops_assets.rollout.state import Route

START = datetime(2024, 5, 6, tzinfo=UTC)
DAY = timedelta(days=1)
NONE = np.empty(0)
SURE = 1e-4  # how rarely a right test may fail, had the seed been another


def spec_of(primary: dict[str, Any] | None = None, **changes: Any) -> ExperimentSpec:
    asked = {"baseline": 0.2, "minimum_effect": 0.05, **(primary or {})}
    return ExperimentSpec.model_validate({"primary": asked, "units_per_day": 400, "unit": ["customer"], **changes})


def experiment_of(spec: ExperimentSpec, **changes: Any) -> Experiment:
    named: dict[str, Any] = dict(id="returns-ab-2-1", number=1, model="returns", hypothesis="it is better")
    routes = dict(champion=Route(1, "run1", "/models/1"), challenger=Route(2, "run2", "/models/2"))
    return Experiment(
        **{
            **named,
            **routes,
            "spec": spec.model_dump(mode="json"),
            "plan": plan(spec),
            "started_at": START,
            **changes,
        }
    )


def arm(units: int = 0, **changes: Any) -> ArmSample:
    zero: dict[str, Any] = dict(requests=0, errors=0, features=0, nulls=0, latency_ms=NONE, outcomes=NONE)
    return ArmSample(**{**zero, "units": units, **changes})


def seen(
    champion: np.ndarray, challenger: np.ndarray, before: tuple[Any, Any] = (None, None), **changes: Any
) -> Observed:
    """Return what was seen of units that all have an outcome."""
    sample = Sample(arm(len(champion)), arm(len(challenger)), (NONE, NONE))
    parts: dict[str, Any] = dict(sample=sample, primary=Pair(Units(champion, before[0]), Units(challenger, before[1])))
    return Observed(**{**parts, **changes})


def most(alpha: float, experiments: int) -> float:
    """Return the share of false positives that a test of level alpha does not exceed."""
    return float(binom.ppf(1 - SURE, experiments, alpha) / experiments)


def within(share: float, experiments: int) -> tuple[float, float]:
    low, high = binom.ppf([SURE, 1 - SURE], experiments, share) / experiments
    return float(low), float(high)
