"""Labels that come later, by feedback and by the spine, against what was planted."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from predictions.log.served import NOON, answer, line, shadow, write_segment

from mlops_assets.lake.tables import read
from mlops_assets.predictions.log.compaction import Reading, compact
from mlops_assets.predictions.log.evidence import read_sample
from mlops_assets.predictions.log.labels import LabelRules, labelled_log
from mlops_assets.predictions.log.line import EventMetadata, GroundTruth, Part
from mlops_assets.predictions.log.outcomes import sample_outcomes, unit_outcomes
from mlops_assets.predictions.log.table import feedback_uri
from mlops_assets.serving.body import read_rows

READING = Reading("returns", read_rows, lambda _: {}, text=("order_id", "customer"))
DAY = timedelta(days=1)
RULES = LabelRules("binary", timeout=2 * DAY)


def truth(event, data, *, received=NOON, inference_id=None, encoding="CSV"):
    meta = EventMetadata(event, received.isoformat(), inference_id)
    return msgspec.json.encode(GroundTruth(Part("text/csv", "OUTPUT", data, encoding), meta))


def send(capture, lines, name="00-w1-1.jsonl"):
    path = Path(capture, "returns", "feedback", "2024/03/01/12", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(one + b"\n" for one in lines))


def labels_of(lake, rules=RULES, now=NOON + DAY, **more):
    rows = labelled_log(lake, "returns", rules, now=now, **more).to_pylist()
    return {(one["event_id"], one["row"]): (one["label"], one["status"]) for one in rows}


@pytest.fixture
def places(tmp_path):
    return tmp_path / "capture", str(tmp_path / "lake")


def test_nothing_logged_has_no_labels(places):
    assert labels_of(places[1]) == {}


def test_the_newest_feedback_counts_by_event_and_by_inference_id(places):
    capture, lake = places
    requests = [
        answer(1),
        answer(2),
        answer(3),
        shadow(1),
        line([{}, {}], NOON, event_id="e4", predictions=[0.1, 0.2], features={}),
        line([{}], NOON, "mine", event_id="e5", predictions=[0.1], features={}),
        line([{}, {}], NOON, event_id="e6", rows=[1], predictions=[0.1], assigned="challenger", features={}),
    ]
    hour = timedelta(hours=1)
    late = (NOON + 3 * DAY).isoformat()
    sent = [
        truth("e1", "0", received=NOON + 2 * hour),
        truth("e1", "1", received=NOON + hour),
        truth("e2", "true", encoding="JSON"),
        truth("e3", f'{{"label": 1, "at": "{late}"}}', encoding="JSON"),
        truth("e4", "1\n0"),
        truth("mine", "1"),
        truth("e6", '[{"label": 0.5, "row": 1}]', encoding="JSON"),
        b"not ours",
    ]
    write_segment(capture, requests)
    send(capture, sent)

    done = compact(capture, lake, READING)
    send(capture, sent)
    again = compact(capture, lake, READING)

    assert (done.feedback, done.foreign, again.feedback, again.duplicates) == (8, 1, 0, 0)
    assert read(feedback_uri(lake, "returns")).num_rows == 8
    known = {
        ("e1", 0): (0.0, "labelled"),
        ("e2", 0): (1.0, "labelled"),
        ("e3", 0): (None, "pending"),
        ("e4", 0): (1.0, "labelled"),
        ("e4", 1): (0.0, "labelled"),
        ("e5", 0): (1.0, "labelled"),
        ("e6", 1): (0.5, "labelled"),
    }
    assert labels_of(lake) == known
    after = labels_of(lake, now=NOON + 9 * DAY)
    assert after == {**known, ("e3", 0): (None, "censored")}
    early = labels_of(lake, now=NOON + hour)
    assert early["e1", 0] == (1.0, "labelled")


def test_a_correction_that_came_too_late_is_told_and_takes_no_label_back(places):
    capture, lake = places
    write_segment(capture, [answer(1), line([{}], NOON, "mine", event_id="e2", predictions=[0.1], features={})])
    hour = timedelta(hours=1)
    in_time = [truth("e1", "1", received=NOON + hour), truth("mine", "0", received=NOON + hour)]
    send(capture, [*in_time, truth("e1", "0", received=NOON + 3 * DAY), truth("e2", "1", received=NOON + 2 * hour)])
    compact(capture, lake, READING)

    rows = labelled_log(lake, "returns", RULES, now=NOON + 4 * DAY).to_pylist()

    first, second = rows[1], rows[0]
    assert (first["label"], first["label_known_at"], first["status"]) == (1.0, NOON + hour, "labelled")
    assert (first["feedback"], first["feedback_at"]) == (0.0, NOON + 3 * DAY)
    assert (second["label"], second["feedback_at"]) == (1.0, NOON + 2 * hour), "by whatever id, the newest counts"


@pytest.mark.parametrize("nonsense", ["nan", "inf", "1e400", "who knows", ""])
def test_what_is_no_number_is_no_label_and_spoils_no_mean(places, nonsense):
    capture, lake = places
    write_segment(capture, [answer(1), answer(2)])
    send(capture, [truth("e1", f'"{nonsense}"', encoding="JSON"), truth("e2", "1")])
    compact(capture, lake, READING)

    rows = labelled_log(lake, "returns", RULES, now=NOON + DAY)

    assert (rows["label"].to_pylist(), rows["status"].to_pylist()) == ([None, 1.0], ["pending", "labelled"])
    for source in ("label", "feedback", "error"):
        assert unit_outcomes(rows, task="binary", source=source)["unit"].to_pylist() == ["e2"]


def test_only_the_rows_of_one_label_of_traffic_are_read(places):
    capture, lake = places
    write_segment(capture, [answer(1, label="returns-2-1/1"), answer(2, label="returns-2-1/10"), answer(3)])
    compact(capture, lake, READING)

    assert list(labels_of(lake, traffic="returns-2-1/1")) == [("e1", 0)]
    assert len(labels_of(lake)) == 3


def test_columns_of_requests_may_have_any_name(places):
    """Also one that a query of ours gives to something else."""
    capture, lake = places
    asked = {"event": "x", "value": "3", "known_at": "now", "name": "n", "sent": 1, "until": 2}
    write_segment(capture, [answer(1, request=[asked])])
    compact(capture, lake, Reading("returns", read_rows, lambda _: {}, text=("event", "value")))
    known = pa.table({"event": ["x"], "value": [3], "label": [0.0], "label_known_at": [NOON + timedelta(hours=1)]})
    rules = LabelRules("binary", timeout=2 * DAY, keys=("event", "value"), spine=lambda _start, _end: known)

    (row,) = labelled_log(lake, "returns", rules, now=NOON + DAY, columns=list(asked)).to_pylist()

    assert (row["label"], row["event"], row["known_at"], row["until"]) == (0.0, "x", "now", 2)
    assert unit_outcomes(pa.Table.from_pylist([row]), task="binary", source="label", by=["event"]).num_rows == 1


def spine(start, end):
    assert start <= NOON <= end
    known = [NOON + timedelta(hours=3), NOON + 5 * DAY, NOON + timedelta(hours=3)]
    return pa.table(
        {"order_id": [7, 8, None], "customer": ["a", "b", None], "label": [1.0, 1.0, 0.0], "label_known_at": known}
    )


def test_the_spine_labels_requests_that_carried_its_keys(places):
    capture, lake = places
    write_segment(
        capture,
        [
            answer(1, request=[{"order_id": 7, "customer": "a"}]),
            answer(2, request=[{"order_id": "8", "customer": "b"}]),
            answer(3, request=[{"order_id": "x", "customer": "b"}]),
            answer(4, request=[{"amount": 1}]),
            answer(5, request=[{"order_id": 7.0, "customer": "a"}]),
        ],
    )
    send(capture, [truth("e2", "0"), truth("e1", "0")])
    compact(capture, lake, READING)
    rules = LabelRules("binary", timeout=2 * DAY, keys=("order_id", "customer"), spine=spine)

    found = labels_of(lake, rules)

    assert found == {
        ("e1", 0): (1.0, "labelled"),  # the spine is the truth that models are trained on
        ("e2", 0): (0.0, "labelled"),  # its label came too late; the feedback did not
        ("e3", 0): (None, "pending"),
        ("e4", 0): (None, "pending"),  # no key at all is not the row of the spine that has none
        ("e5", 0): (1.0, "labelled"),
    }
    rows = labelled_log(lake, "returns", rules, now=NOON + DAY).to_pylist()
    assert [one["feedback"] for one in rows] == [0.0, 0.0, None, None, None]


def test_a_log_without_the_keys_has_feedback_alone(places):
    capture, lake = places
    write_segment(capture, [answer(1)])
    compact(capture, lake, READING)

    assert labels_of(lake, LabelRules("binary", timeout=DAY, keys=("order_id", "customer"), spine=spine)) == {
        ("e1", 0): (None, "pending")
    }


def test_outcomes_are_means_by_unit_and_arm(places):
    capture, lake = places
    label = "returns-2-1/1"
    new = {"label": label, "variant": "challenger", "assigned": "challenger"}
    lines = [
        answer(1, 0.5, label=label, units=["a"], request=[{"customer": "ann"}]),
        answer(2, 0.0, label=label, units=["a"], request=[{"customer": "ann"}]),
        answer(3, 1.0, label=label, units=["b"], request=[{"customer": "bob"}]),
        answer(4, 0.5, units=["c"], **new),
        answer(5, 0.5, units=["d"], **new),
        answer(6, 0.9, units=["d"], error="it broke", **{**new, "variant": "champion"}),
        shadow(4, 0.1, label=label, variant="champion", units=["c"]),
        answer(7, 0.5, units=["e"], label="returns-2-1/0"),
    ]
    write_segment(capture, lines)
    send(capture, [truth(f"e{number}", data) for number, data in enumerate("1010117", 1)])
    compact(capture, lake, READING)

    rows = labelled_log(lake, "returns", RULES, now=NOON + DAY, traffic=label, columns=["customer"])

    def means(source, **more):
        found = unit_outcomes(rows, task="binary", source=source, **more).to_pylist()
        return {(one["arm"], one["unit"]): (pytest.approx(one["mean"]), one["rows"]) for one in found}

    assert means("label") == {
        ("champion", "a"): (0.5, 2),
        ("champion", "b"): (1.0, 1),
        ("challenger", "c"): (0.0, 1),
        ("challenger", "d"): (1.0, 2),
    }
    assert means("feedback") == means("label")
    assert means("error") == {
        ("champion", "a"): (0.125, 2),
        ("champion", "b"): (0.0, 1),
        ("challenger", "c"): (0.25, 1),
        ("challenger", "d"): (0.13, 2),
    }
    assert means("score")["champion", "a"] == (0.25, 2)
    assert means("label", by=["customer"])["champion", '["ann"]'] == (0.5, 2)
    seen = sample_outcomes(rows, task="binary", metric="error")
    found = read_sample(capture, model="returns", label=label, task="binary", lake=lake, outcomes=seen)
    assert list(found.champion.outcomes) == pytest.approx([0.125, 0.0])
    assert (list(found.challenger.outcomes), found.labelled) == (pytest.approx([0.25, 0.13]), 3)


def test_classes_are_right_or_wrong(places):
    capture, lake = places
    rules = LabelRules("multiclass", timeout=DAY)
    assert (
        unit_outcomes(labelled_log(lake, "returns", rules, now=NOON), task="multiclass", source="error").num_rows == 0
    )
    write_segment(capture, [answer(9, predictions=[], status=500)])  # it failed before it ever named a class
    compact(capture, lake, READING)
    assert (
        unit_outcomes(labelled_log(lake, "returns", rules, now=NOON), task="multiclass", source="error").num_rows == 0
    )
    said = {"class": "web", "probabilities": {"app": 0.2, "web": 0.8}}
    write_segment(capture, [answer(number, predictions=[said]) for number in (1, 2)])
    send(capture, [truth("e1", "web"), truth("e2", "shop")])
    compact(capture, lake, READING)

    rows = labelled_log(lake, "returns", rules, now=NOON + DAY)

    assert rows["label"].to_pylist() == ["web", "shop"]
    assert unit_outcomes(rows, task="multiclass", source="error")["mean"].to_pylist() == [0.0, 1.0]
