"""A few of the rollouts that the benchmark counts: judgement and machine together, on correlated requests."""

import pytest

from benchmarks.rollout import SCENARIOS, World, fast_fail_seconds


@pytest.mark.parametrize(
    ("scenario", "rate", "phase", "metric"),
    [
        ("same", 50, "promoted", "passed with"),
        ("errors", 3, "rolled_back", "requests failed"),
        ("latency", 3, "rolled_back", "p99"),
        ("wrong", 3, "rolled_back", "PSI"),
        ("business", 50, "rolled_back", "Mean label"),
        ("errors_without_shadow", 50, "rolled_back", "requests failed"),
        ("latency_without_shadow", 50, "rolled_back", "p99"),
    ],
)
def test_a_rollout_ends_as_its_challenger_deserves(scenario, rate, phase, metric):
    ended = World(SCENARIOS[scenario], rate, seed=1).run()
    assert ended.phase == phase
    assert metric in ended.why
    if phase == "rolled_back" and SCENARIOS[scenario].spec.steps[0].percent == 0 and scenario != "business":
        assert ended.canary_requests == 0


def test_the_first_of_two_workers_needs_six_to_eleven_failures():
    seconds = [fast_fail_seconds(50, 1.0, seed) for seed in range(200)]
    assert 6 / 50 < sum(seconds) / 200 < 11 / 50
