"""Requests that come in together are scored together, and nobody can tell but by the time that it took."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.json import encode

from mlops_assets.features.online.sqlite_store import SqliteStore
from mlops_assets.rollout.state import Route
from mlops_assets.serving.arm import INLINE_ROWS
from mlops_assets.serving.pace import PROVEN, Paced
from mlops_assets.serving.problems import RequestFunctionFailed
from mlops_assets.serving.scoring import ArmLoader, LoadedArm
from tests.serving.arms import COMPUTE, RAISES, saved
from tests.serving.lookup_world import load_arm, publish, save_model, shelves

SIZES = b"SIZES = []\n" + RAISES.replace(COMPUTE, COMPUTE + b"\n    SIZES.append(len(columns['half']))")


@pytest.fixture
def arm() -> LoadedArm:
    return ArmLoader()(Route(1, "run1", saved(1, SIZES)))


def sizes(arm: LoadedArm) -> list[int]:
    return arm.predictor.request_features.__globals__["SIZES"]


def scored_at_once(
    arm: LoadedArm, requests: Sequence[list[dict[str, Any]]], *, seconds: Sequence[float] = ()
) -> list[Any]:
    """Return what each of the requests gets that come in at once, once the arm has shown that it is quick.

    Args:
        seconds: What each of them has left; a minute by default.
    """

    async def ask() -> list[Any]:
        paced, now = Paced(arm), time.monotonic()
        while paced._quick < PROVEN:
            await paced.score(requests[0], until=now + 60)
        if arm.predictor.request_features.__globals__.get("SIZES"):
            sizes(arm).clear()
        left = seconds or [60.0] * len(requests)
        calls = [paced.score(rows, until=now + one) for rows, one in zip(requests, left, strict=True)]
        return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(ask())


def test_one_is_timed_by_itself_and_the_others_are_one_call(arm: LoadedArm) -> None:
    requests = [[{"x": float(n), "half": 1.0, "word": "hey" if n % 2 else "ho"}] for n in range(20)]
    answers = scored_at_once(arm, requests)

    assert sizes(arm) == [1, 19]
    assert [seconds is not None for _, seconds in answers] == [True] + [False] * 19
    assert [answer.predictions for answer, _ in answers] == [[1 + n + 20 + 1000 * (n % 2)] for n in range(20)]
    assert [encode(answer) for answer, _ in answers] == [encode(arm.score(one, until=float("inf"))) for one in requests]


def test_only_requests_alike_are_scored_together(arm: LoadedArm) -> None:
    one: list[dict[str, Any]] = [{"x": 1.0, "half": 1.0, "word": "ho"}]
    sent: list[dict[str, Any]] = [{"x": 1.0, "half": 1.0, "word": "ho", "doubled": 5.0}]
    several: list[dict[str, Any]] = [{"x": 2.0}, {"x": 3.0, "half": 2.0, "word": "ho"}]
    requests = [one, one, sent, several, one, sent]
    answers = scored_at_once(arm, requests)

    assert [encode(answer) for answer, _ in answers] == [encode(arm.score(one, until=float("inf"))) for one in requests]
    assert [answer.predictions for answer, _ in answers][2:4] == [[52.0], [3.0, 44.0]]


def test_a_request_that_fails_fails_alone(arm: LoadedArm) -> None:
    requests: list[list[dict[str, Any]]] = [
        [{"x": float(n), "half": 7.0 if n == 5 else 1.0, "word": "ho"}] for n in range(10)
    ]
    answers = scored_at_once(arm, requests)

    assert isinstance(answers[5], RequestFunctionFailed)
    assert [answer[0].predictions for n, answer in enumerate(answers) if n != 5] == [
        [21.0 + n] for n in range(10) if n != 5
    ]


def test_a_request_whose_time_is_over_costs_the_others_no_lookup(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "online")
    views = shelves(tmp_path / "lake", store)
    publish(*views)
    looks_up, _ = load_arm(save_model(tmp_path / "model", *views), store)
    ann: list[dict[str, Any]] = [{"customer": "ann", "item": 1, "n": 3}]
    _, late, other = scored_at_once(looks_up, [ann] * 3, seconds=[60, -1, 60])

    assert isinstance(late, TimeoutError)
    assert (other[0].predictions, other[0].defaulted) == ([1 + 100 + 1000 + 100_000 + 3], ())


def test_a_group_has_no_more_rows_than_the_event_loop_can_bear(arm: LoadedArm) -> None:
    answers = scored_at_once(arm, [[{"x": float(n), "half": 1.0, "word": "ho"}] for n in range(2 * INLINE_ROWS)])

    assert [answer.predictions for answer, _ in answers] == [[21.0 + n] for n in range(2 * INLINE_ROWS)]
    assert max(sizes(arm)) == INLINE_ROWS
