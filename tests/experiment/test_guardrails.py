"""Guardrails over simulated experiments with a look every day."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from experiment.experiments import DAY, NONE, START, arm, experiment_of, most, seen, spec_of

from mlops_assets.experiment.analysis import look
from mlops_assets.experiment.guardrails import judge
from mlops_assets.experiment.observed import Observed, Pair, Units
from mlops_assets.experiment.spec import GuardrailSpec
from mlops_assets.experiment.state import GuardrailLook, with_look
from mlops_assets.rollout.evidence import ArmSample, Sample

DAYS, REQUESTS = 28, 2000  # of each arm, a day
ALPHA = 0.05
GUARDRAILS: dict[str, dict[str, Any]] = {
    "error_share": {"margin": 0.01},
    "null_share": {"margin": 0.05},
    "latency_p99": {"margin": 0.25},
    "outcome": {"margin": 0.02, "outcome": {"source": "feedback"}},
}
WORSE = {"error_share": 0.05, "null_share": 0.4, "latency_p99": 2.0, "outcome": 0.1}


def guardrail(name: str, alpha: float = ALPHA) -> GuardrailSpec:
    return GuardrailSpec.model_validate({"name": name, "alpha": alpha, **GUARDRAILS[name]})


def days_of(rng: np.random.Generator, name: str, worse: float, requests: int):
    """Yield one arm as it stands after each day, a little or much worse than the other."""
    if name == "latency_p99":
        times = rng.lognormal(3, 0.5, (DAYS, requests)) * (1 + worse)
        yield from ((arm(latency_ms=times[: day + 1].ravel()), NONE) for day in range(DAYS))
    elif name == "outcome":
        good = rng.binomial(1, 0.3 - worse, (DAYS, requests // 10)).astype(float)
        yield from ((arm(), good[: day + 1].ravel()) for day in range(DAYS))
    elif name == "error_share":
        errors = rng.binomial(requests, 0.002 + worse, DAYS).cumsum()
        yield from ((arm(requests=requests * (day + 1), errors=int(errors[day])), NONE) for day in range(DAYS))
    else:  # the eight features of a request are there or missing together
        nulls = 8 * rng.binomial(requests, 0.1 + worse, DAYS).cumsum()
        whole = requests * (np.arange(DAYS) + 1)
        yield from (
            (arm(requests=int(n), features=8 * int(n), nulls=int(k)), NONE) for n, k in zip(whole, nulls, strict=True)
        )


def observed(champion: tuple[ArmSample, Any], challenger: tuple[ArmSample, Any]) -> Observed:
    pair = Pair(Units(champion[1]), Units(challenger[1]))
    return Observed(Sample(champion[0], challenger[0], (NONE, NONE)), pair, {0: pair})


def day_of_breach(rng: np.random.Generator, name: str, worse: float, requests: int = REQUESTS) -> int | None:
    last: tuple[GuardrailLook, ...] = ()
    arms = zip(days_of(rng, name, 0.0, requests), days_of(rng, name, worse, requests), strict=True)
    for day, (champion, challenger) in enumerate(arms, 1):
        last = judge([guardrail(name)], observed(champion, challenger), last, hidden=None)
        if last[0].is_breached:
            return day
    return None


@pytest.mark.parametrize("name", sorted(GUARDRAILS))
def test_a_challenger_at_its_very_margin_breaches_no_more_often_than_alpha(name: str) -> None:
    rng, experiments = np.random.default_rng(1), 60 if name == "latency_p99" else 400

    breached = [day_of_breach(rng, name, GUARDRAILS[name]["margin"]) for _ in range(experiments)]

    assert sum(day is not None for day in breached) / experiments <= most(ALPHA, experiments)


@pytest.mark.parametrize("name", sorted(GUARDRAILS))
def test_a_challenger_that_is_much_worse_is_stopped_within_days(name: str) -> None:
    rng = np.random.default_rng(2)

    days = [day_of_breach(rng, name, WORSE[name]) for _ in range(20)]

    assert None not in days
    assert max(days) <= 7


@pytest.mark.parametrize("name", sorted(GUARDRAILS))
def test_nothing_is_said_of_a_handful_of_requests(name: str) -> None:
    few = arm(requests=40, errors=40, features=80, nulls=80, latency_ms=np.full(40, 1e6)), np.zeros(40)
    good = arm(requests=40, features=80, latency_ms=np.ones(40)), np.ones(40)

    (found,) = judge([guardrail(name)], observed(good, few), (), hidden=None)

    assert (found.value, found.p, found.is_breached) == (None, 1.0, False)


@pytest.mark.parametrize(("source", "is_breached"), [("error", True), ("feedback", False)])
def test_more_errors_are_worse_and_more_of_anything_else_is_better(source: str, is_breached: bool) -> None:
    rail = GuardrailSpec.model_validate({"name": "outcome", "margin": 0.02, "outcome": {"source": source}})
    few, many = np.repeat([1.0, 0.0], [100, 900]), np.repeat([1.0, 0.0], [400, 600])

    (found,) = judge([rail], observed((arm(), few), (arm(), many)), (), hidden=None)

    assert found.is_breached == is_breached


def heavy_tailed(rng: np.random.Generator, units: int) -> Iterator[ArmSample]:
    """Yield one arm after each of ten days: few units ask most, and one unit in fifty always fails, and slowly."""
    asks, is_bad = rng.pareto(1.5, units) * 10 + 1, rng.random(units) < 0.02
    requests = rng.poisson(asks, (10, units)).cumsum(axis=0)
    for day in requests:
        asked = day[day > 0]
        errors = np.where(is_bad[day > 0], asked, 0)
        slow = np.repeat(is_bad[day > 0], asked)
        times = np.where(slow, 100.0, 1.0) * rng.lognormal(0, 0.5, int(asked.sum()))
        yield arm(
            units=len(asked),
            requests=int(asked.sum()),
            errors=int(errors.sum()),
            features=int(asked.sum()),
            nulls=int(errors.sum()),
            unit_errors=(errors, asked),
            latency_ms=times,
            latency_units=np.repeat(np.arange(len(asked)), asked),
        )


@pytest.mark.parametrize(("name", "margin"), [("error_share", 0.01), ("null_share", 0.01), ("latency_p99", 0.25)])
def test_requests_of_one_unit_are_not_taken_for_so_many_observations(name: str, margin: float) -> None:
    rng, experiments = np.random.default_rng(5), 60
    rail = GuardrailSpec.model_validate({"name": name, "alpha": ALPHA, "margin": margin})

    def breaches(*, are_units_known: bool) -> int:
        found = 0
        for _ in range(experiments):
            last: tuple[GuardrailLook, ...] = ()
            for arms in zip(heavy_tailed(rng, 300), heavy_tailed(rng, 300), strict=True):
                blind = [replace(one, units=0, unit_errors=None, latency_units=None) for one in arms]
                known = arms if are_units_known else blind
                last = judge([rail], observed(*((one, NONE) for one in known)), last, hidden=None)
            found += last[0].is_breached
        return found

    assert breaches(are_units_known=True) / experiments <= ALPHA
    assert breaches(are_units_known=False) / experiments > 2 * ALPHA


def rails(**changes: Any) -> Observed:
    """Return units of two equal arms, with requests of which the challenger failed one in ten."""
    rng = np.random.default_rng(3)
    equal = seen(*(rng.binomial(1, 0.2, 500).astype(float) for _ in range(2)))
    champion, challenger = arm(500, requests=3000, errors=3), arm(500, requests=3000, errors=300)
    return replace(equal, sample=Sample(champion, challenger, (NONE, NONE)), **changes)


@pytest.mark.parametrize("analysis", ["fixed", "sequential"])
def test_a_breach_ends_the_experiment_before_any_day_or_unit_that_was_planned(analysis: str) -> None:
    experiment = experiment_of(spec_of(analysis=analysis, guardrails=[{"name": "error_share", "margin": 0.01}]))

    found = look(experiment, rails(), START + DAY / 24)

    assert (found.verdict, found.is_final) == ("breach", True)
    assert found.said[0].startswith("Guardrail error_share is breached: errors: 10.000% of the challenger's, 0.100%")
    assert found.guardrails[0].value == pytest.approx(0.099)


def test_a_breach_is_not_taken_back_by_later_requests() -> None:
    spec = spec_of(guardrails=[{"name": "error_share", "margin": 0.01}])
    first = look(experiment_of(spec), rails(), START + DAY)
    calm = replace(rails(), sample=Sample(arm(500, requests=10**6), arm(500, requests=10**6), (NONE, NONE)))

    assert look(with_look(experiment_of(spec), first), calm, START + 2 * DAY).verdict == "breach"


def test_a_guardrail_on_the_primary_metric_does_not_show_it_before_the_end() -> None:
    rail = {"name": "outcome", "margin": 0.1, "outcome": {"source": "label"}}
    experiment, found = experiment_of(spec_of(guardrails=[rail])), rails()
    found = replace(found, guardrails={0: found.primary})

    early, due = (look(experiment, found, START + days * DAY) for days in (3, 60))

    assert early.guardrails[0].value is None
    assert "0." not in early.guardrails[0].said
    assert due.guardrails[0].value is not None
