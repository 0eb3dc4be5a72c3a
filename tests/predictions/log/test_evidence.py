"""What the log says of both arms, against counting by hand."""

import os
from datetime import timedelta

import pytest
from predictions.log.served import NOON, answer, shadow, write_segment

from mlops_assets.predictions.log.compaction import Reading, compact
from mlops_assets.predictions.log.evidence import read_sample
from mlops_assets.serving.body import read_rows

LABEL = "returns-2-1/1"
NEW = {"label": LABEL, "version": 2, "variant": "challenger", "assigned": "challenger"}
OLD = {"label": LABEL}


def sample(folder, **more):
    return read_sample(folder, model="returns", label=LABEL, task="binary", **more)


def test_an_empty_log_is_an_empty_sample(tmp_path):
    found = sample(tmp_path)

    assert (found.champion.requests, found.challenger.requests, found.challenger.units) == (0, 0, 0)
    assert len(found.both[0]) == len(found.challenger.latency_ms) == 0


def test_requests_errors_units_latencies_and_nulls_by_arm(tmp_path):
    lines = [
        answer(1, units=["a"], arm_us=1000, features={"amount": [1.0], "n": [None]}, **OLD),
        answer(2, units=["a"], arm_us=3000, features={"amount": [1.0], "n": [2.0]}, **OLD),
        answer(3, units=["b"], arm_us=500, features={"amount": [None], "n": [None]}, **NEW),
        # The champion stood in: the challenger's request and error, nobody's latency or features.
        answer(4, units=["c"], arm_us=9, error="it broke", features={"n": [None]}, **{**NEW, "variant": "champion"}),
        answer(5, units=["d"], label="returns-2-1/0"),
        answer(6, units=["e"]),
        answer(7, units=["f"], status=503, **{**OLD, "predictions": []}),
        answer(8, units=["g"], status=422, **{**OLD, "predictions": []}),
    ]
    write_segment(tmp_path, [*lines, lines[0], b"not ours", b"{}"])
    write_segment(tmp_path, [lines[2]], "00-w2-1.open", torn=lines[3][:80])

    found = sample(tmp_path)

    old, new = found.champion, found.challenger
    assert (old.requests, old.errors, old.units) == (3, 1, 2)
    assert (new.requests, new.errors, new.units) == (2, 1, 2)
    assert (old.features, old.nulls, new.features, new.nulls) == (4, 1, 2, 2)
    assert (list(old.latency_ms), list(new.latency_ms)) == ([1.0, 3.0], [0.5])
    assert [list(zip(*map(list, arm.unit_errors), strict=True)) for arm in (old, new)] == [
        [(0, 2), (1, 1)],
        [(0, 1), (1, 1)],
    ]
    assert len(set(old.latency_units)) == 1, "both were asked by one unit"


@pytest.mark.parametrize("is_compacted", [True, False])
def test_a_server_whose_clock_is_behind_is_heard_all_the_same(tmp_path, is_compacted):
    """The label says what belongs to a step; its beginning only spares work."""
    began = NOON.replace(hour=0)
    path = write_segment(tmp_path, [answer(1, at=began - timedelta(minutes=30), **OLD)])
    os.utime(path, (began.timestamp() - 1800,) * 2)
    if is_compacted:
        compact(tmp_path, f"{tmp_path}/lake", Reading("returns", read_rows, lambda _: {}))

    assert sample(tmp_path, lake=f"{tmp_path}/lake", since=began).champion.requests == 1


def test_a_shadow_step_judges_the_challenger_by_its_shadow_rows(tmp_path):
    seen = {"label": LABEL, "version": 2}
    lines = [
        answer(1, 0.1, units=["a"], arm_us=1000, **OLD),
        answer(2, 0.2, units=["b"], arm_us=1000, **OLD),
        shadow(1, 0.3, units=["a"], arm_us=2000, **seen),
        shadow(2, units=["b"], status=500, error="it broke", **{**seen, "predictions": []}),
    ]
    write_segment(tmp_path, lines)

    found = sample(tmp_path)

    assert (found.champion.requests, found.champion.units, found.champion.errors) == (2, 2, 0)
    assert (found.challenger.requests, found.challenger.errors, found.challenger.units) == (2, 1, 0)
    assert list(found.challenger.latency_ms) == [2.0]
    assert [list(scores) for scores in found.both] == [[0.1], [0.3]]


def test_at_full_traffic_the_champion_is_known_by_its_shadow(tmp_path):
    back = {"label": LABEL, "variant": "champion", "assigned": "challenger"}
    lines = [answer(1, 0.9, units=["a"], arm_us=1000, **NEW), shadow(1, 0.4, arm_us=3000, **back)]
    write_segment(tmp_path, lines)

    found = sample(tmp_path)

    assert (list(found.champion.latency_ms), found.champion.units) == ([3.0], 0)
    assert found.challenger.requests == 1
    assert [list(scores) for scores in found.both] == [[0.4], [0.9]]


def test_a_shadow_is_no_answer_where_the_step_says_so(tmp_path):
    write_segment(tmp_path, [answer(1, **OLD), shadow(1, label=LABEL)])

    assert sample(tmp_path, is_shadow=False).challenger.requests == 0
    assert sample(tmp_path, is_shadow=True).challenger.requests == 1


def test_rows_of_one_request_that_fell_to_both_arms(tmp_path):
    rows = [{"amount": 1.0}, {"amount": 2.0}, {"amount": 3.0}]
    old = answer(
        1, request=rows, rows=[0, 2], units=["a", "c"], predictions=[0.1, 0.3], features={"n": [1, None]}, **OLD
    )
    new = answer(1, request=rows, rows=[1], units=["b"], predictions=[0.2], **NEW)
    check = shadow(
        1, request=rows, rows=[1], variant="champion", assigned="challenger", predictions=[0.25], label=LABEL
    )
    write_segment(tmp_path, [old, new, check])

    found = sample(tmp_path)

    assert (found.champion.requests, found.champion.units, found.challenger.requests) == (1, 2, 1)
    assert (found.champion.features, found.champion.nulls) == (2, 1)
    assert [list(scores) for scores in found.both] == [[0.25], [0.2]]


@pytest.mark.parametrize("name", ["costly", "unheard of"])
def test_classes_stand_for_their_positions(tmp_path, name):
    said = [{"class": "cheap", "probabilities": {"cheap": 0.7, "costly": 0.3}}]
    other = [{"class": name, "probabilities": {name: 0.6}}]
    write_segment(tmp_path, [answer(1, predictions=said, **OLD), shadow(1, predictions=other, label=LABEL)])

    found = read_sample(tmp_path, model="returns", label=LABEL, task="multiclass", classes=["cheap", "costly"])

    assert found.is_categorical
    assert [list(one) for one in found.both] == [[0], [1 if name == "costly" else 2]]
