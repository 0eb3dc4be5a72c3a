"""Segments become rows of the table, each exactly once, whatever happens in between."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from predictions.log.served import NOON, answer, line, shadow, write_segment
from services import aws, bucket, moto  # noqa: F401  (fixtures)

from mlops_assets.lake.delta import history
from mlops_assets.lake.maintenance import Policy, maintain
from mlops_assets.lake.tables import commit_properties, read
from mlops_assets.predictions.log.compaction import Reading, compact
from mlops_assets.predictions.log.evidence import read_sample
from mlops_assets.predictions.log.segments import kind_folder
from mlops_assets.predictions.log.table import log_uri
from mlops_assets.serving.body import read_rows

TESTS = Path(__file__).parents[2]
KINDS = {1: {"amount": "numeric", "channel": "categorical"}, 2: {"amount": "numeric"}}
READING = Reading("returns", read_rows, lambda version: KINDS.get(version, {}), text=("customer",))


@pytest.fixture
def places(tmp_path):
    return tmp_path / "capture", str(tmp_path / "lake")


def rows_of(lake):
    return read(log_uri(lake, "returns"))


def keys_of(lake):
    rows = rows_of(lake)
    return sorted(zip(rows["event_id"].to_pylist(), rows["row"].to_pylist(), strict=True))


def segments_left(capture):
    return [path.name for path in capture.rglob("*.jsonl")]


def test_a_line_becomes_rows_with_what_was_asked_and_seen(places):
    capture, lake = places
    asked = [{"customer": 7, "amount": 1, "unit": "x"}, {"customer": "8", "amount": None, "event_id": "own"}]
    seen = {"amount": [1.5, None], "channel": ["web", "app"]}
    as_of = [int(NOON.timestamp() * 1e6), None]
    facts = {
        **dict(
            event_id="e1", predictions=[0.25, 0.75], features=seen, features_as_of=as_of, generation=4, latency_us=900
        ),
        **dict(units=["a", "b"], label="returns-2-1/1", defaulted=["channel"], arm_us=400),
    }
    write_segment(capture, [line(asked, NOON, "mine", **facts)])

    done = compact(capture, lake, READING)

    assert (done.rows, done.segments, done.duplicates, done.torn, done.foreign) == (2, 1, 0, 0, 0)
    assert segments_left(capture) == []
    shared = {
        **dict(event_id="e1", inference_id="mine", prediction_time=NOON, model_version=1, generation=4),
        **dict(variant="champion", role="answer", assigned="champion", traffic="returns-2-1/1", http_status=200),
        **dict(error="", latency_us=900, arm_us=400, feature_count=2, defaulted=["channel"]),
    }
    first = dict(
        row=0, unit="a", features_as_of=NOON, null_count=0, score=0.25, customer="7", amount=1.5, channel="web"
    )
    second = dict(
        row=1, unit="b", features_as_of=None, null_count=1, score=0.75, customer="8", amount=None, channel="app"
    )
    assert rows_of(lake).to_pylist() == [
        {**shared, **first, "input_unit": "x"},
        {**shared, **second, "input_unit": None},
    ]


def test_a_line_with_the_whole_request_takes_its_own_rows(places):
    capture, lake = places
    asked = [{"customer": name} for name in "abc"]
    old = line(asked, event_id="e1", predictions=[0.1, 0.3], rows=[0, 2], features={})
    new = line(asked, event_id="e1", predictions=[0.2], rows=[1], variant="challenger", version=2)
    failed = line(asked, event_id="e2-shadow", predictions=[], role="shadow", status=500, error="it broke")
    write_segment(capture, [old, new, failed])

    compact(capture, lake, READING)

    rows = {(one["event_id"], one["row"]): (one["customer"], one["score"]) for one in rows_of(lake).to_pylist()}
    assert rows == {
        ("e1", 0): ("a", 0.1),
        ("e1", 2): ("c", 0.3),
        ("e1", 1): ("b", 0.2),
        **{("e2-shadow", at): (name, None) for at, name in enumerate("abc")},
    }


def test_a_class_has_its_probabilities_in_order(places):
    capture, lake = places
    said = [{"class": "web", "probabilities": {"app": 0.2, "web": 0.8}}]
    write_segment(capture, [answer(1, predictions=said)])

    compact(capture, lake, READING)

    row = rows_of(lake).to_pylist()[0]
    assert (row["predicted_class"], row["score"], row["probabilities"]) == ("web", 0.8, [0.2, 0.8])


def test_torn_and_foreign_lines_are_counted_and_every_event_counts_once(places):
    capture, lake = places
    lines = [answer(number) for number in range(6)]
    other = answer(9, model="another")
    write_segment(capture, [*lines[:4], b"nonsense", other, b"   "], torn=lines[5][:99])
    shutil.copy(
        write_segment(capture, lines[2:], "01-w2-1.jsonl"), capture / "returns/AllTraffic/2024/03/01/12/02-w3.jsonl"
    )

    done = compact(capture, lake, READING)

    assert (done.rows, done.duplicates, done.torn, done.foreign) == (6, 6, 1, 2)
    assert keys_of(lake) == [(f"e{number}", 0) for number in range(6)]


def test_later_versions_bring_columns_and_other_kinds(places):
    capture, lake = places
    write_segment(capture, [answer(1, features={"amount": [1.0], "size": ["L"]})])
    compact(capture, lake, READING)
    kinds = {**KINDS, 3: {"size": "numeric", "brand": "categorical"}}
    write_segment(capture, [answer(2, version=3, features={"size": [42.0], "brand": ["acme"]}), answer(3)])

    compact(capture, lake, Reading("returns", read_rows, lambda version: kinds.get(version, {})))

    rows = {one["event_id"]: one for one in rows_of(lake).to_pylist()}
    assert [rows[event]["size"] for event in ("e1", "e2", "e3")] == ["L", None, None]
    assert [rows[event]["size_numeric"] for event in ("e1", "e2", "e3")] == [None, 42.0, None]
    assert [rows[event]["brand"] for event in ("e1", "e2", "e3")] == [None, "acme", None]


def test_a_segment_of_a_live_writer_is_left_alone_and_that_of_a_dead_one_is_not(places):
    capture, lake = places
    alive = write_segment(capture, [answer(1)], "00-w1-1.open")
    write_segment(capture, [answer(2)], "00-w2-1.open", torn=b'{"captureData"')
    with alive.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = compact(capture, lake, READING)

    assert (done.rows, done.torn, alive.exists()) == (1, 1, True)
    assert compact(capture, lake, READING).rows == 1
    assert keys_of(lake) == [("e1", 0), ("e2", 0)]


def test_folders_of_hours_that_are_over_do_not_stay_for_ever(places):
    capture, lake = places
    hour = write_segment(capture, [answer(1)]).parent
    compact(capture, lake, READING)
    assert hour.exists(), "its server may be about to write there"
    os.utime(hour, (0, 0))

    compact(capture, lake, READING)

    assert not hour.exists()


def test_many_segments_are_several_commits_that_name_them(places, monkeypatch):
    capture, lake = places
    for number in range(4):
        write_segment(capture, [answer(number)], f"0{number}-w1-{number}.jsonl")
    monkeypatch.setattr("mlops_assets.predictions.log.compaction.BATCH_BYTES", 1)

    done = compact(capture, lake, READING)

    uri = log_uri(lake, "returns")
    assert (done.rows, done.segments) == (4, 4)
    named = [msgspec.json.decode(commit_properties(uri, version)["segments"]) for version in range(1, 5)]
    assert named == [[f"0{number}-w1-{number}.jsonl"] for number in range(4)]


def test_days_are_kept_apart_and_old_ones_go(places):
    capture, lake = places
    write_segment(capture, [answer(1), answer(2, at=NOON + timedelta(days=3)), answer(3, at=NOON + timedelta(days=9))])
    compact(capture, lake, READING)
    write_segment(capture, [answer(4, at=NOON + timedelta(days=1)), answer(5, at=NOON + timedelta(days=9))])

    done = compact(capture, lake, READING, keep_from=NOON + timedelta(days=3))

    assert (done.rows, done.expired) == (1, 2)
    assert keys_of(lake) == [("e2", 0), ("e3", 0), ("e5", 0)]


def test_evidence_is_the_same_before_between_and_after_compaction(places):
    capture, lake = places
    label = "returns-2-1/1"
    lines = [
        answer(n, n / 10, label=label, units=[f"u{n % 3}"], arm_us=n, features={"a": [None], "b": [n]})
        for n in range(6)
    ]
    lines += [shadow(n, n / 20, label=label, units=[f"u{n % 3}"], arm_us=n, features={"a": [1.0]}) for n in range(6)]

    def sample():
        found = read_sample(capture, model="returns", label=label, task="binary", lake=lake, since=NOON)
        arms = [
            (a.requests, a.errors, a.units, a.features, a.nulls, sorted(a.latency_ms))
            for a in (found.champion, found.challenger)
        ]
        return arms, [list(scores) for scores in found.both]

    write_segment(capture, lines)
    before = sample()
    compact(capture, lake, READING)
    after = sample()
    write_segment(capture, lines[3:])

    assert before == after == sample()
    assert before[0][0] == (6, 0, 3, 12, 6, [n / 1000 for n in range(1, 6)]), "0: not scored by itself"


def test_maintenance_keeps_every_row(places):
    capture, lake = places
    for number in range(12):
        write_segment(capture, [answer(number)])
        compact(capture, lake, READING)
    before = rows_of(lake)

    (upkeep,) = maintain(lake, {}, Policy(timedelta(0)))

    assert upkeep.compacted == {"2024-03-01": 12}
    assert rows_of(lake).equals(before)
    write_segment(capture, [answer(number) for number in range(13)])
    assert compact(capture, lake, READING).rows == 1


PROGRAM = """
import os, signal, sys
from pathlib import Path
import mlops_assets.predictions.log.compaction as c
import mlops_assets.predictions.log.table as t
from predictions.log.test_compaction import READING

capture, lake, point = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
add, unlink, taken = c.add_new, Path.unlink, []

def add_new(*args, **named):
    if point == "before the commit":
        die()
    found = add(*args, **named)
    if point == "after the commit":
        die()
    return found

def remove(path, **named):
    unlink(path, **named)
    taken.append(path)
    if point == "amid the removal":
        die()

new_rows = t._new_rows

def plan(*args):
    found = new_rows(*args)
    if point == "when it has planned" and not taken:
        taken.append("planned")
        print("planned", flush=True); sys.stdin.readline()
    return found

c.add_new, Path.unlink, t._new_rows = add_new, remove, plan
print("go", flush=True); sys.stdin.readline()
c.compact(capture, lake, READING)
"""


def start(places, point):
    capture, lake = places
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(capture), str(lake), point],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go(process):
    assert process.stdout.readline() == "go\n"
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("point", ["before the commit", "after the commit", "amid the removal"])
def test_whoever_is_killed_is_followed_by_one_who_finishes(places, point):
    capture, lake = places
    for number in range(3):
        write_segment(capture, [answer(3 * number + one) for one in range(3)], f"0{number}-w1-{number}.jsonl")
    process = start(places, point)
    go(process)
    assert process.wait(60) == -signal.SIGKILL
    assert len(segments_left(capture)) == (2 if point == "amid the removal" else 3)

    compact(capture, lake, READING)

    assert keys_of(lake) == [(f"e{number}", 0) for number in range(9)]
    assert segments_left(capture) == []


def test_two_compactions_at_once_take_each_row_once(places):
    capture, lake = places
    twin = capture.parent / "other machine"
    for number in range(3):
        write_segment(capture, [answer(30 * number + one) for one in range(30)], f"0{number}-w1-{number}.jsonl")
    shutil.copytree(capture, twin)  # the same lines on two machines, where no lock is shared
    processes = [start((folder, lake), "never") for folder in (capture, capture, twin)]
    for process in processes:
        go(process)

    assert [process.wait(60) for process in processes] == [0, 0, 0]

    assert keys_of(lake) == sorted((f"e{number}", 0) for number in range(90))
    assert segments_left(capture) == segments_left(twin) == []


@pytest.mark.parametrize("is_new", [True, False], ids=["an empty lake", "a table"])
def test_who_planned_on_what_was_there_before_the_twin_plans_again(places, is_new):
    capture, lake = places
    if not is_new:
        write_segment(capture, [answer(9)])
        compact(capture, lake, READING)
    write_segment(capture, [answer(1), answer(2)])
    twin = Path(shutil.copytree(capture, capture.parent / "other machine"))
    processes = [start((folder, lake), "when it has planned") for folder in (capture, twin)]
    for process in processes:
        go(process)
    said = [process.stdout.readline() for process in processes]
    assert said == ["planned\n", "planned\n"]
    for process in processes:
        process.communicate("\n", timeout=60)

    assert [process.returncode for process in processes] == [0, 0]
    assert keys_of(lake) == [("e1", 0), ("e2", 0), *([] if is_new else [("e9", 0)])]


@pytest.mark.service
def test_a_lake_in_an_object_store_is_the_same(tmp_path, bucket):  # noqa: F811
    lake = f"{bucket}/dev"
    write_segment(tmp_path, [answer(1), answer(2)])
    compact(tmp_path, lake, READING)
    write_segment(tmp_path, [answer(2, label="x/0"), answer(3, label="x/0")])

    assert compact(tmp_path, lake, READING).rows == 1

    assert keys_of(lake) == [("e1", 0), ("e2", 0), ("e3", 0)]
    assert read_sample(tmp_path, model="returns", label="x/0", task="binary", lake=lake).champion.requests == 1
    assert len(history(log_uri(lake, "returns"))) == 3
    assert compact(tmp_path, lake, READING, keep_from=NOON + timedelta(days=1)).expired == 3
    assert isinstance(rows_of(lake), pa.Table)
    assert list(kind_folder(tmp_path, "returns").rglob("*.jsonl")) == []
