"""Which labels are known, pending or censored, against brute force."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.predictions.labels import AmbiguousLabels, join_labels

T0 = datetime(2013, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
TIMEOUT = 10 * HOUR


def at(hours: float | None) -> datetime | None:
    return None if hours is None else T0 + hours * HOUR


def scored(rows: list[tuple[str | None, int | None, float]]) -> pa.Table:
    times = [at(hours) for *_, hours in rows]
    return pa.table(
        {
            "carrier": pa.array([row[0] for row in rows], pa.string()),
            "flight": pa.array([row[1] for row in rows], pa.int64()),
            "prediction_time": pa.array(times, pa.timestamp("us", "UTC")),
            "score": pa.array([float(i) for i in range(len(rows))]),
        }
    )


def spine_of(rows: list[tuple[str | None, int | None, int | None, float | None]]) -> pa.Table:
    return pa.table(
        {
            "flight": pa.array([row[1] for row in rows], pa.int64()),
            "carrier": pa.array([row[0] for row in rows], pa.string()),
            "label": pa.array([row[2] for row in rows], pa.int64()),
            "label_known_at": pa.array([at(row[3]) for row in rows], pa.timestamp("us", "UTC")),
        }
    )


def joined(predictions: pa.Table, spine: pa.Table, now: float) -> list[dict[str, Any]]:
    keys = ["carrier", "flight"]
    moment = T0 + now * HOUR
    return join_labels(predictions, spine, keys=keys, label_timeout=TIMEOUT, now=moment).to_pylist()


def test_a_label_counts_from_the_moment_it_is_known() -> None:
    predictions, spine = scored([("AA", 1, 0)]), spine_of([("AA", 1, 1, 5)])

    before, then = joined(predictions, spine, 4.99), joined(predictions, spine, 5)

    assert [(r["label"], r["label_known_at"], r["status"]) for r in before] == [(None, None, "pending")]
    assert [(r["label"], r["label_known_at"], r["status"]) for r in then] == [(1, at(5), "labelled")]


@pytest.mark.parametrize(("now", "status"), [(10, "pending"), (10.01, "censored")])
def test_a_label_that_never_comes_is_pending_up_to_the_timeout_and_censored_after_it(now: float, status: str) -> None:
    never_known, never_there = spine_of([("AA", 1, None, None)]), spine_of([])

    for spine in (never_known, never_there):
        assert joined(scored([("AA", 1, 0)]), spine, now)[0]["status"] == status


@pytest.mark.parametrize(("known", "status"), [(10, "labelled"), (10.01, "censored")])
def test_a_label_that_comes_after_the_timeout_does_not_count(known: float, status: str) -> None:
    (row,) = joined(scored([("AA", 1, 0)]), spine_of([("AA", 1, 1, known)]), 20)

    assert (row["status"], row["label"]) == (status, 1 if status == "labelled" else None)


def test_null_keys_match_null_keys() -> None:
    spine = spine_of([(None, 1, 1, 0), ("AA", 1, 0, 0)])

    assert [row["label"] for row in joined(scored([("AA", 1, 0), (None, 1, 0)]), spine, 1)] == [0, 1]


def test_the_order_stays_also_when_the_spine_is_much_longer() -> None:
    spine = spine_of([("AA", flight, flight % 2, 0) for flight in range(20_000)])
    flights = [-1, 19_000, 5, -2, 12_345, 0]

    found = joined(scored([("AA", flight, 0) for flight in flights]), spine, 1)

    assert [row["flight"] for row in found] == flights
    assert [row["label"] for row in found] == [None, 0, 1, None, 1, 0]


def test_two_labels_for_one_key_are_refused_with_an_example() -> None:
    spine = spine_of([("AA", 1, 1, 0), ("AA", 1, 0, 0)])

    with pytest.raises(AmbiguousLabels, match=r"equal carrier, flight: found several, for example .*'flight': 1"):
        joined(scored([("AA", 1, 0)]), spine, 1)


keys = st.tuples(st.sampled_from(["AA", "UA", None]), st.sampled_from([1, 2, None]))
hours = st.integers(0, 24)


@given(
    st.lists(st.tuples(keys, hours)),
    st.dictionaries(keys, st.tuples(st.sampled_from([0, 1, None]), st.none() | hours)),
    hours,
)
def test_every_prediction_keeps_its_place_and_gets_what_a_loop_finds(
    rows: list[Any], labels: dict[Any, Any], now: int
) -> None:
    predictions = scored([(*key, hour) for key, hour in rows])
    expected: list[Any] = []
    for key, hour in rows:
        label, known = labels.get(key, (None, None))
        if label is not None and known is not None and known <= min(now, hour + 10):
            expected.append((label, "labelled"))
        else:
            expected.append((None, "pending" if now <= hour + 10 else "censored"))

    found = joined(predictions, spine_of([(*key, *value) for key, value in labels.items()]), now)

    assert [(row["label"], row["status"]) for row in found] == expected
    assert [row["score"] for row in found] == predictions["score"].to_pylist()
