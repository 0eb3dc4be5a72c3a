"""Values of a cursor: read from rows, written into parameters."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from mlops_assets.ingestion.sources.cursors import CursorType

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("declared", "form", "value", "expected"),
    [
        ("TIMESTAMPTZ", "iso", "2024-03-01T12:00:00Z", NOON),
        ("TIMESTAMPTZ", "iso", "2024-03-01T13:00:00+01:00", NOON),
        ("TIMESTAMPTZ", "iso", "2024-03-01 12:00:00", NOON),
        ("TIMESTAMP", "iso", datetime(2024, 3, 1, 12), NOON),  # noqa: DTZ001  without a zone is the case
        ("TIMESTAMPTZ", "iso", "2024-03-01T12:00:00.123456789Z", NOON.replace(microsecond=123456)),
        ("TIMESTAMPTZ", "epoch_seconds", 1709294400, NOON),
        ("TIMESTAMPTZ", "epoch_ms", 1709294400500, NOON.replace(microsecond=500_000)),
        ("DATE", "iso", "2024-03-01", date(2024, 3, 1)),
        ("DATE", "iso", "2024-03-01T23:00:00-03:00", date(2024, 3, 1)),
        ("DATE", "iso", NOON, date(2024, 3, 1)),
        ("BIGINT", "iso", "12", 12),
        ("VARCHAR", "iso", "01H", "01H"),
        ("TIMESTAMPTZ", "iso", None, None),
    ],
)
def test_a_value_compares_in_the_type_of_its_column(declared, form, value, expected):
    parsed = CursorType(declared, form).parse(value)
    assert (parsed, type(parsed)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("iso", NOON, "2024-03-01T12:00:00Z"),
        ("iso", NOON.astimezone(timezone(timedelta(hours=5))), "2024-03-01T12:00:00Z"),
        ("epoch_seconds", NOON, 1709294400),
        ("epoch_ms", NOON, 1709294400000),
        ("date", NOON, "2024-03-01"),
        ("date", date(2024, 3, 1), "2024-03-01"),
        ("iso", 12, 12),
        ("iso", None, None),
    ],
)
def test_a_value_is_written_as_the_parameters_have_it(form, value, expected):
    assert CursorType("TIMESTAMPTZ", form).write(value) == expected


@pytest.mark.parametrize(("hour", "expected"), [(12, "2024-03-02"), (0, "2024-03-01")])
def test_the_day_that_the_end_of_a_window_cuts_is_asked_for(hour, expected):
    end = NOON.replace(hour=hour)
    assert CursorType("TIMESTAMPTZ", "date").write(end, end=end) == expected
