"""What people are shown of a rollout."""

from dataclasses import replace
from io import BytesIO

import pytest
from matplotlib.image import imread

from mlops_assets.rollout import machine
from mlops_assets.rollout.evidence import Evidence, Judged
from mlops_assets.rollout.machine import tick
from mlops_assets.rollout.picture import rollout_chart, share_over_time
from mlops_assets.rollout.story import sentence, step_rows, step_table
from tests.rollout.rollouts import START, after, begun, judged, look

BY = {"who": "ada", "why": "it is Friday"}


def failed_at_25():
    rollout = begun()
    for minute in (10, 20):
        rollout = tick(rollout, look(rollout, after(minute)), after(minute))
    slow = Judged("latency_p99", "fail", 1.6, 1.25, "p99 4 ms; champion 2.5 ms.")
    for minute in (21, 22):
        rollout = tick(rollout, Evidence(after(minute), 2, 1234, (judged(), slow)), after(minute))
    return rollout


def test_a_row_for_each_step():
    rows = step_rows(failed_at_25())
    assert [(row.name, row.share, row.outcome, row.looks, row.requests) for row in rows] == [
        ("shadow", 0, "passed", 1, 500),
        ("5 %", 0.05, "passed", 1, 500),
        ("25 %", 0.25, "ended here", 2, 1234),
        ("50 %", 0.5, "not reached", 0, 0),
        ("100 %", 1, "not reached", 0, 0),
    ]
    assert [row.since for row in rows] == [START, after(10), after(20), None, None]
    assert rows[2].metrics["latency_p99"].outcome == "fail"


def test_the_table_has_a_column_for_each_step_and_a_row_for_each_metric():
    lines = step_table(failed_at_25()).splitlines()
    assert lines[0] == "| step | shadow | 5 % | 25 % | 50 % | 100 % |"
    assert lines[2] == "|  | passed | passed | ended here | not reached | not reached |"
    assert lines[3] == "| since (UTC) | 2024-03-01 12:00 | 2024-03-01 12:10 | 2024-03-01 12:20 |  |  |"
    assert lines[4:6] == ["| requests | 500 | 500 | 1,234 |  |  |", "| looks | 1 | 1 | 2 |  |  |"]
    assert lines[6] == "| error share | 0.5 of 1: pass | 0.5 of 1: pass | 0.5 of 1: pass |  |  |"
    assert lines[7] == "| latency p99 |  |  | 1.6 of 1.25: fail |  |  |"


def test_what_a_person_skips_is_passed_over():
    skipped = machine.promote(begun(), who="ada", why="so", now=after(1), full=True)
    assert [row.outcome for row in step_rows(skipped)] == ["passed over"] * 5
    paused = machine.promote(machine.pause(begun(), **BY, now=after(1)), **BY, now=after(2), full=False)
    assert [row.outcome for row in step_rows(paused)][:3] == ["passed over", "under way", "not reached"]


@pytest.mark.parametrize(
    ("rollout", "said"),
    [
        (begun(), "Version 2 is at step shadow (1 of 5) since 2024-03-01 12:00 UTC, not judged yet."),
        (
            tick(begun(), look(begun(), after(1), "fail"), after(1)),
            "Version 2 is at step shadow (1 of 5) since 2024-03-01 12:00 UTC; newest look with 500 requests: fail, 1 failed in a row.",
        ),
        (
            machine.pause(begun(), **BY, now=after(1)),
            (
                "Version 2 was paused by ada at step shadow (1 of 5), 2024-03-01 12:01 UTC: it is Friday. "
                "Resume, promote or abort it."
            ),
        ),
        (
            replace(begun(), phase="waiting"),
            "Version 2 waits at step shadow (1 of 5) for `mlops rollout promote` since 2024-03-01 12:00 UTC.",
        ),
        (
            replace(begun(), phase="holding", step=4),
            "Version 2 has all traffic since 2024-03-01 12:00 UTC; version 1 stays loaded beside it.",
        ),
        (
            failed_at_25(),
            "Version 2 was rolled back at step 25 % (3 of 5), 2024-03-01 12:22 UTC: p99 4 ms; champion 2.5 ms.",
        ),
    ],
)
def test_one_sentence_says_where_it_stands(rollout, said):
    assert sentence(rollout) == said


def test_the_share_rises_with_the_steps_and_falls_with_the_end():
    rolled_back = [(START, 0), (after(10), 5), (after(20), 25), (after(22), 0), (after(22), 0)]
    assert share_over_time(failed_at_25()) == rolled_back
    full = machine.promote(begun(), **BY, now=after(1), full=True)
    assert share_over_time(full) == [(START, 0), (after(1), 100), (after(1), 100)]


def test_the_picture_is_small_and_shows_how_it_went():
    pictures = [rollout_chart(rollout) for rollout in (begun(), failed_at_25())]
    assert max(map(len, pictures)) < 75_000
    first, last = (imread(BytesIO(picture)) for picture in pictures)
    red = [((one[..., 0] > 0.7) & (one[..., 1] < 0.3)).sum() for one in (first, last)]
    assert red[1] > red[0] + 20  # the mark of a failed look
