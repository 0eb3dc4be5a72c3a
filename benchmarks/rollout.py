"""What becomes of rollouts: 120 of each scenario through `judge` and `tick`, with the rollout of a file that says nothing else.

- Requests come from a population of units of unequal size. A unit keeps its arm, and its own latency, rate of errors, business
  rate and score, so that requests of one unit are correlated, as in life. Assignment is the server's own.
- `business` needs a label metric (margin 2 points); it is switched on there and in `same_with_labels`.
- At 100 % the challenger is compared with the champion's last step.
- 100 % errors: two workers, each of which takes the challenger out by itself; the seconds until the first does.
"""

import sys
import time
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import numpy as np

from benchmarks.report import Goal, at_least, at_most, conditions, finish
from mlops_assets.rollout.assignment import BUCKETS, bucket, unit_of
from mlops_assets.rollout.evidence import ArmSample, Evidence, Sample
from mlops_assets.rollout.judging import judge
from mlops_assets.rollout.machine import begin, tick
from mlops_assets.rollout.spec import LabelSpec, MetricsSpec, RolloutSpec
from mlops_assets.rollout.state import Rollout, Route

ROLLOUTS, UNITS, WORKERS, FEATURES = 120, 5_000, 2, 20
UNKNOWN = 0.02  # share of the units
RATES = (50, 3)  # requests per second
START = datetime(2024, 1, 1, tzinfo=UTC)
DEFAULT = RolloutSpec()
WITH_LABELS = RolloutSpec(metrics=MetricsSpec(label=LabelSpec(metric="label", margin=0.02)))
WITHOUT_SHADOW = RolloutSpec(steps=list(DEFAULT.steps[1:]))
MOST_LOOKS = 3_000
GOAL_PROMOTED, GOAL_ROLLED_BACK, GOAL_SECONDS = 0.95, 0.99, 5.0


@dataclass(frozen=True)
class Scenario:
    """How the challenger differs from the champion, which errs in 0.2 % and has a business rate of 20 %."""

    errors: float = 0.002
    slower: float = 1.0
    business: float = 0.2
    score_shift: float = 0.0
    spec: RolloutSpec = DEFAULT
    is_good: bool = False
    rates: tuple[int, ...] = RATES


SCENARIOS = {
    "same": Scenario(is_good=True),
    "same_with_labels": Scenario(is_good=True, spec=WITH_LABELS, rates=RATES[:1]),
    "errors": Scenario(errors=0.03),
    "latency": Scenario(slower=1.6),
    "business": Scenario(business=0.14, spec=WITH_LABELS),
    "wrong": Scenario(score_shift=1.0),
    "all_errors": Scenario(errors=1.0),
    "errors_without_shadow": Scenario(errors=0.03, spec=WITHOUT_SHADOW, rates=RATES[:1]),
    "latency_without_shadow": Scenario(slower=1.6, spec=WITHOUT_SHADOW, rates=RATES[:1]),
}
CHAMPION = Scenario()


@dataclass(frozen=True)
class Ended:
    """How one rollout ended: its phase (`paused` where it waits for a person), after how long, at what price."""

    phase: str
    step: int
    minutes: float
    canary_requests: int
    why: str


class Population:
    """Units and what is peculiar to each of them."""

    def __init__(self, rng: np.random.Generator, salt: str) -> None:
        self.rng = rng
        size = rng.lognormal(0, 1, UNITS)
        self.upto = np.cumsum(size / size.sum())
        self.bucket = np.array([bucket(unit_of([unit]), salt) for unit in range(UNITS)])
        self.latency = rng.lognormal(0, 0.2, UNITS)
        self.error = rng.gamma(1, 1, UNITS)
        self.business = rng.gamma(25, 1 / 25, UNITS)
        self.logit = rng.normal(-1.4, 1, UNITS)
        self.is_unknown = rng.random(UNITS) < UNKNOWN  # to the online store: all its features are missing

    def units(self, requests: int) -> np.ndarray:
        """Return the units of that many requests."""
        return np.minimum(np.searchsorted(self.upto, self.rng.random(requests)), UNITS - 1)


class Arm:
    """What one arm did since the step began."""

    def __init__(self, kind: Scenario, population: Population) -> None:
        self.kind, self.of, self.rng = kind, population, population.rng
        self.nulls = 0
        self.latency: list[np.ndarray] = []
        self.units: list[np.ndarray] = []
        self.errors = np.zeros((2, UNITS), int)  # by unit: errors, and requests
        self.labels = np.zeros((2, UNITS))  # by unit: how many, and their sum

    def answer(self, units: np.ndarray) -> None:
        """Take the requests of a minute."""
        of, count = self.of, len(units)
        own = of.error[units] if self.kind.errors < 1 else 1
        np.add.at(self.errors[0], units, self.rng.random(count) < self.kind.errors * own)
        np.add.at(self.errors[1], units, 1)
        known = ~of.is_unknown[units]
        self.nulls += int(np.where(known, self.rng.binomial(FEATURES, 0.01, count), FEATURES).sum())
        self.units.append(units)
        self.latency.append(of.latency[units] * self.rng.lognormal(0, 0.5, count) * 0.4 * self.kind.slower)
        np.add.at(self.labels[0], units, 1)
        np.add.at(self.labels[1], units, self.rng.random(count) < self.kind.business * of.business[units])

    def sample(self, *, with_labels: bool) -> ArmSample:
        """Return what the prediction log would say of the arm."""
        latency = np.concatenate([*self.latency, np.empty(0)])
        seen = self.labels[0] > 0
        return ArmSample(
            requests=len(latency),
            errors=int(self.errors[0].sum()),
            units=int(seen.sum()),
            features=FEATURES * len(latency),
            nulls=self.nulls,
            latency_ms=latency,
            outcomes=self.labels[1][seen] / self.labels[0][seen] if with_labels else np.empty(0),
            unit_errors=(self.errors[0][seen], self.errors[1][seen]),
            latency_units=np.concatenate([*self.units, np.empty(0, int)]),
        )


class World:
    """The traffic of one model while one rollout is under way."""

    def __init__(self, kind: Scenario, rate: float, seed: int) -> None:
        self.kind, self.rate = kind, rate
        self.rng = np.random.default_rng(seed)
        old, new = Route(1, "old", ""), Route(2, "new", "")
        self.rollout = begin("flight_delay", old, new, kind.spec, number=seed, now=START, why="newer")
        self.population = Population(self.rng, self.rollout.id)
        self.canary_requests = 0
        self.last_champion: ArmSample | None = None

    def run(self) -> Ended:
        """Look every minute until the rollout ends, or waits for a person."""
        now, step, looks = START, -1, 0
        while self.rollout.phase == "running" and (looks := looks + 1) < MOST_LOOKS:
            if self.rollout.step != step:
                step = self.rollout.step
                self._begin_step()
            now += timedelta(seconds=self.kind.spec.interval_seconds)
            self._serve()
            self.rollout = tick(self.rollout, self._look(now), now)
        last: Rollout = self.rollout
        return Ended(last.phase, step, (now - START).total_seconds() / 60, self.canary_requests, last.actions[-1].why)

    def _begin_step(self) -> None:
        self.share = self.kind.spec.steps[self.rollout.step].percent / 100
        self.champion, self.challenger = Arm(CHAMPION, self.population), Arm(self.kind, self.population)
        self.scores: list[tuple[np.ndarray, np.ndarray]] = []

    def _serve(self) -> None:
        units = self.population.units(self.rng.poisson(self.rate * self.kind.spec.interval_seconds))
        if not self.share:
            self.champion.answer(units)
            self.challenger.answer(units)
            self.scores.append(self._both(units))
            return
        is_challengers = self.population.bucket[units] < round(self.share * BUCKETS)
        self.champion.answer(units[~is_challengers])
        self.challenger.answer(units[is_challengers])
        self.canary_requests += int(is_challengers.sum())

    def _both(self, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logit = self.population.logit[units] + self.rng.normal(0, 0.5, len(units))
        other = logit + self.rng.normal(self.kind.score_shift, 0.2, len(units))
        return 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(-other))

    def _look(self, now: datetime) -> Evidence:
        with_labels = self.kind.spec.metrics.label is not None and self.share > 0
        champion, challenger = (arm.sample(with_labels=with_labels) for arm in (self.champion, self.challenger))
        if self.share == 1 and self.last_champion is not None:
            champion = self.last_champion
        self.last_champion = champion
        pairs: Any = [np.concatenate([*some, np.empty(0)]) for some in zip(*self.scores, strict=True)]
        both = tuple(pairs) if self.scores else (np.empty(0), np.empty(0))
        labelled = challenger.requests if with_labels else 0
        sample = Sample(champion, challenger, both, labelled=labelled)
        judged = judge(sample, self.kind.spec.metrics, share=self.share, is_shadow=self.share == 0)
        return Evidence(now, self.rollout.step, challenger.requests, judged)


def main() -> None:
    """Run every scenario, print a table, and report what became of the goals."""
    rollouts = int(sys.argv[1]) if len(sys.argv) > 1 else ROLLOUTS
    started = time.process_time()
    figures: dict[str, float] = {}
    goals: list[Goal] = []
    print("| scenario | requests/s | promoted | rolled back | paused | median minutes | canary requests |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, kind in SCENARIOS.items():
        for rate in kind.rates:
            key = f"{name}_{rate}"
            ended = [World(kind, rate, seed).run() for seed in range(1, rollouts + 1)]
            figures |= {f"{key}_{what}": value for what, value in summary(ended).items()}
            print_row(name, rate, ended)
            if kind.is_good and kind.spec is DEFAULT:
                goals.append(at_least(f"{key}_promoted", figures[f"{key}_promoted"], GOAL_PROMOTED))
            elif not kind.is_good and rate == RATES[0]:
                goals.append(at_least(f"{key}_rolled_back", figures[f"{key}_rolled_back"], GOAL_ROLLED_BACK))
    for rate in RATES:
        seconds = [fast_fail_seconds(rate, 1.0, seed) for seed in range(rollouts)]
        figures[f"fast_fail_{rate}_median_s"], figures[f"fast_fail_{rate}_worst_s"] = median(seconds), max(seconds)
    canary = [fast_fail_seconds(RATES[0], DEFAULT.steps[1].percent / 100, seed) for seed in range(rollouts)]
    figures["fast_fail_50_at_5_percent_worst_s"] = max(canary)
    goals.append(at_most("fast_fail_50_worst_s", figures["fast_fail_50_worst_s"], GOAL_SECONDS))
    figures["cpu_s"] = time.process_time() - started
    under = {**conditions(["numpy", "scipy", "mlops-assets"]), "rollouts": rollouts, "units": UNITS, "workers": WORKERS}
    finish("rollout", figures=figures, goals=goals, under=under)


def summary(ended: list[Ended]) -> dict[str, float]:
    """Return the shares of the outcomes, the median minutes and the median requests that the challenger answered."""
    phases = Counter(one.phase for one in ended)
    shares = {phase: phases[phase] / len(ended) for phase in ("promoted", "rolled_back", "paused")}
    minutes, spent = median(one.minutes for one in ended), median(one.canary_requests for one in ended)
    return {**shares, "median_minutes": minutes, "canary_requests": spent}


def print_row(name: str, rate: float, ended: list[Ended]) -> None:
    """Print one line of the table, and on stderr why rollouts ended otherwise than most."""
    counts, whole = Counter(one.phase for one in ended), summary(ended)
    cells = [name, rate, *(counts[phase] for phase in ("promoted", "rolled_back", "paused"))]
    print(
        "|",
        " | ".join(map(str, cells)),
        f"| {whole['median_minutes']:.0f} | {whole['canary_requests']:,.0f} |",
        flush=True,
    )
    usual = counts.most_common(1)[0][0]
    for one in ended:
        if one.phase != usual:
            print(f"{name}, {rate}/s, {one.phase} at step {one.step}: {one.why}", file=sys.stderr)


def fast_fail_seconds(rate: float, share: float, seed: int) -> float:
    """Return the time until the first worker takes a challenger out of which every request fails."""
    rng, rule = np.random.default_rng(seed), DEFAULT.fast_fail
    newest = [deque[bool](maxlen=rule.window_requests) for _ in range(WORKERS)]
    seconds = 0.0
    while True:
        seconds += float(rng.exponential(1 / (rate * share)))
        of_worker = newest[rng.integers(WORKERS)]
        of_worker.append(True)
        if sum(of_worker) > rule.error_share * rule.window_requests:
            return seconds


if __name__ == "__main__":
    main()
