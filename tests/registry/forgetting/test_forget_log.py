"""Somebody is forgotten in the prediction log: segments, tables, their past, and the labels of what they asked."""

import fcntl
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
from predictions.log.served import NOON, answer, line, write_segment

from mlops_assets.lake.tables import read
from mlops_assets.predictions.log.compaction import Reading, compact
from mlops_assets.predictions.log.forgetting import LogOnDisk
from mlops_assets.predictions.log.labels import LabelRules, labelled_log
from mlops_assets.predictions.log.line import EventMetadata, GroundTruth, Part
from mlops_assets.predictions.log.segments import kind_folder
from mlops_assets.predictions.log.table import feedback_uri, log_uri
from mlops_assets.predictions.log.writer import SegmentWriter, worker_name
from mlops_assets.registry.forgetting.forget import NoSuchColumns, Request, forget
from mlops_assets.serving.body import read_rows

NAME = "zz-person"
ID = "asked-by-zz"
WHO = {"customer": NAME}
READING = Reading("returns", read_rows, lambda _: {}, text=("customer",))
TWO = [{"customer": NAME, "amount": 1.0}, {"customer": "ann", "amount": 2.0}]


def truth(event, label, row=0):
    data = msgspec.json.encode({"label": label, "row": row}).decode()
    return msgspec.json.encode(
        GroundTruth(Part("application/json", "INPUT", data, "JSON"), EventMetadata(event, NOON.isoformat()))
    )


def send(capture, lines, name):
    path = Path(capture, "returns", "feedback", "2024/03/01/12", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(one + b"\n" for one in lines))


def served(first):
    """Return lines in which they are one of several: alone, in a batch, in the other arm's rows, and torn."""
    theirs = [{"customer": NAME, "amount": 5.0}]
    return [
        answer(first, request=theirs),
        answer(first + 1),
        line(TWO, event_id=f"e{first + 2}", predictions=[0.1, 0.2], features={"amount": [1.0, 2.0]}, units=["a", "b"]),
        line(TWO, event_id=f"e{first + 3}", predictions=[0.2], rows=[1], features={"amount": [2.0]}),
        answer(first + 4, event_id=f"e{first + 4}-shadow", role="shadow", request=theirs),
    ]


@pytest.fixture
def places(tmp_path):
    """A log in all its states: compacted twice, closed, torn, and being written."""
    capture, lake = tmp_path / "capture" / "dev", str(tmp_path / "lake")
    labels = [truth("e0", 1), truth("e1", 1), truth("e2", ID, 0), truth("e2", 0, 1)]
    for first in (0, 10):
        write_segment(capture, served(first))
        send(capture, labels, "00-w1-1.jsonl")
        compact(capture, lake, READING)
    write_segment(capture, served(20), torn=served(30)[0][:-9])
    write_segment(capture, served(40), "00-w2-1.open")
    send(capture, [truth("e10", ID), truth("e20", ID), truth("e40", ID), truth("e21", 1)], "01-w1-1.jsonl")
    send(capture, [truth("e40", ID), truth("e41", 1)], "00-w2-1.open")
    return capture, lake


def run(places, who=WHO):
    capture, lake = places
    request = Request(who, "tester@here", "a letter", datetime.now(UTC))
    log = LogOnDisk(capture, lake, read_rows)
    return forget(request, lake=lake, registry=None, refresh=None, known=["customer"], elsewhere=[log])


def traces_below(folder, *texts):
    found = []
    for file in Path(folder).rglob("*"):
        if file.is_file():
            cells = repr(pq.read_table(file, partitioning=None).to_pylist()) if file.suffix == ".parquet" else ""
            found += [str(file) for text in texts if text in cells or text.encode() in file.read_bytes()]
    return found


def log_of(places):
    """Return every row of the log, once all of it is compacted, and the labels of them."""
    capture, lake = places
    compact(capture, lake, READING)
    rows = read(log_uri(lake, "returns")).to_pylist()
    logged = {(one["event_id"], one["row"]): (one["customer"], one["score"], one["amount"]) for one in rows}
    labels = {(one["event_id"], one["row"], one["label"]) for one in read(feedback_uri(lake, "returns")).to_pylist()}
    return logged, labels


def test_no_byte_says_that_they_were_there_and_everybody_else_is(places, tmp_path):
    assert len(traces_below(tmp_path, NAME)) >= 5
    assert len(traces_below(tmp_path, ID)) >= 4
    live = next(places[0].rglob("AllTraffic/**/*.open"))
    with live.open("ab", buffering=0) as writer:  # as a server holds it
        fcntl.flock(writer, fcntl.LOCK_EX)
        done = run(places)
        writer.write(answer(60) + b"\n")

    assert traces_below(tmp_path, NAME, ID) == []
    assert not any(trace.is_theirs for trace in done.left)
    kinds = {trace.kind for trace in done.found if trace.is_theirs}
    assert kinds == {"table", "segments", "feedback"}
    logged, labels = log_of(places)
    expected = {
        (f"e{first + at}", row): cells
        for first in (0, 10, 20, 40)
        for at, row, cells in [
            (1, 0, (f"c{first + 1}", 0.5, first + 1.0)),
            (2, 1, ("ann", 0.2, 2.0)),
            (3, 1, ("ann", 0.2, 2.0)),
        ]
    }
    assert logged == {**expected, ("e60", 0): ("c60", 0.5, 60.0)}
    assert labels == {("e1", 0, "1"), ("e2", 1, "0"), ("e21", 0, "1"), ("e41", 0, "1")}


def test_a_server_writes_and_rotates_meanwhile(places, tmp_path):
    capture, _ = places
    writer = SegmentWriter(kind_folder(capture, "returns"), worker_name(), max_bytes=1, max_seconds=60, is_synced=False)
    numbers, stop = count(1000), threading.Event()
    # Read first, and for long enough that what was listed after it is closed by then.
    long = write_segment(capture, [answer(number) for number in range(500, 900)] * 10, "00-00-000-another.open")

    def serve() -> None:  # an error in the thread fails the test
        while not stop.is_set():
            writer.append(answer(next(numbers)) + b"\n", NOON)
            time.sleep(0.002)
            while writer.retired:
                writer.retired.pop().close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with long.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            done = run(places)
    finally:
        stop.set()
        thread.join()

    assert traces_below(tmp_path, NAME, ID) == []
    assert not any(trace.is_theirs for trace in done.left)
    logged, _ = log_of(places)
    assert {(f"e{number}", 0) for number in range(1000, next(numbers))} <= logged.keys()


def test_what_a_killed_run_left_half_rewritten_goes_with_the_next(places, tmp_path):
    closed = next(places[0].rglob("AllTraffic/**/*.jsonl"))
    closed.with_suffix(".draft").write_bytes(closed.read_bytes())

    run(places)

    assert traces_below(tmp_path, NAME) == []
    assert list(places[0].rglob("*.draft")) == []


def test_days_that_retention_removed_go_from_the_disk_at_once(tmp_path):
    """Nobody can read them any more, but until the table's upkeep their files are there."""
    capture, lake = tmp_path / "capture" / "dev", str(tmp_path / "lake")
    write_segment(capture, [*served(0), answer(9, at=NOON + timedelta(days=5))])
    send(capture, [truth("e0", ID)], "00-w1-1.jsonl")
    compact(capture, lake, READING)
    compact(capture, lake, READING, keep_from=NOON + timedelta(days=4))
    assert read(log_uri(lake, "returns"))["customer"].to_pylist() == ["c9"]
    assert traces_below(tmp_path, NAME) != []
    assert traces_below(tmp_path, ID) != []

    done = run((capture, lake))

    assert traces_below(tmp_path, NAME, ID) == []
    assert {(trace.kind, trace.rows, trace.files) for trace in done.found} == {("table", 0, 1), ("feedback", 0, 1)}
    assert not any(trace.is_theirs for trace in done.left)
    assert read(log_uri(lake, "returns"))["customer"].to_pylist() == ["c9"]


def test_labels_of_others_in_the_same_request_still_count(places):
    run(places)

    _, lake = places
    rows = labelled_log(
        lake, "returns", LabelRules("binary", timedelta(days=9)), now=NOON + timedelta(days=1)
    ).to_pylist()
    assert {one["event_id"]: one["label"] for one in rows if one["label"] is not None} == {"e1": 1.0, "e2": 0.0}


def test_a_second_time_finds_nothing(places, tmp_path):
    run(places)
    before = {str(file): file.read_bytes() for file in places[0].rglob("*") if file.is_file()}

    again = run(places)

    assert not any(trace.is_theirs for trace in again.found)
    assert before == {str(file): file.read_bytes() for file in places[0].rglob("*") if file.is_file()}


def test_what_waits_on_disk_alone_is_found(tmp_path):
    capture, lake = tmp_path / "capture", str(tmp_path / "lake")
    write_segment(capture, served(0))
    Path(lake).mkdir()

    with pytest.raises(NoSuchColumns):
        run((capture, lake), {"customer": "nobody"})
    done = run((capture, lake))

    assert [(trace.kind, trace.rows, trace.files) for trace in done.found] == [("segments", 4, 1)]
    assert traces_below(tmp_path, NAME) == []


def test_a_number_names_somebody_as_its_text(tmp_path):
    capture, lake = tmp_path / "capture", str(tmp_path / "lake")
    write_segment(capture, [answer(n, request=[{"customer": n}]) for n in (7, 77)])
    compact(capture, lake, READING)
    write_segment(capture, [answer(100 + n, request=[{"customer": float(n)}]) for n in (7, 77)])

    run((capture, lake), {"customer": "7"})

    logged, _ = log_of_predictions(capture, lake)
    assert logged == {"e77", "e177"}


def log_of_predictions(capture, lake):
    compact(capture, lake, READING)
    rows = read(log_uri(lake, "returns"))
    return set(rows["event_id"].to_pylist()), rows
