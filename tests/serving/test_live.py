"""The ring of the last minute, against numpy on the same latencies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.serving.live import GROWTH, WINDOW_SECONDS, Ring, combined, quantile_ms, recent_of

LATENCIES = st.lists(st.floats(6e-5, 20), min_size=1, max_size=200)


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(LATENCIES, st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_that_of_the_latencies_to_within_a_class(latencies: list[float], share: float) -> None:
    ring = Ring(Watch())
    for one in latencies:
        ring.count(200, one)

    exact = np.quantile(latencies, share, method="inverted_cdf") * 1000

    assert quantile_ms(ring.read()[1], share) == pytest.approx(exact, rel=np.sqrt(GROWTH) - 1 + 1e-6)


@given(LATENCIES, LATENCIES)
def test_what_two_workers_saw_adds_up(mine: list[float], others: list[float]) -> None:
    rings = [Ring(Watch()), Ring(Watch()), Ring(Watch())]
    for ring, latencies in zip(rings, (mine, others, mine + others), strict=True):
        for one in latencies:
            ring.count(500 if one > 1 else 200, one)

    one, other, both = (recent_of("churn", 3, "champion", *ring.read()) for ring in rings)

    assert combined([one, other]) == [both]
    assert both.requests == len(mine) + len(others)
    assert both.errors == sum(latency > 1 for latency in mine + others)


@pytest.mark.parametrize(("seconds", "left"), [(1, 2), (WINDOW_SECONDS - 2, 2), (WINDOW_SECONDS + 1, 0)])
def test_a_minute_later_a_request_is_forgotten(seconds: float, left: int) -> None:
    watch = Watch()
    ring = Ring(watch)
    ring.count(200, 0.001)
    ring.count(500, 0.002)

    watch.now += seconds

    errors, latency = ring.read()
    assert (sum(latency.values()), errors) == (left, left // 2)


def test_a_busy_ring_holds_one_minute() -> None:
    clock = Watch()
    ring = Ring(clock)
    for _ in range(500):
        ring.count(200, 100.0)
        clock.now += 0.5

    assert 2 * (WINDOW_SECONDS - 1) <= sum(ring.read()[1].values()) <= 2 * WINDOW_SECONDS
