"""Times in a view's SQL: without a zone they are UTC, wall clocks are moments, and the machine's own zone changes nothing."""

import time
from pathlib import Path

import pytest
from features.world import RETURNS_SQL, Shop, definition, many_orders, order, view

from mlops_assets.lake import tables


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop.of(tmp_path, many_orders())


def test_a_time_without_a_zone_is_utc(shop):
    naive = view(
        f"select * replace (event_timestamp::timestamp as event_timestamp, known_at::timestamp as known_at) from ({RETURNS_SQL})"
    )
    spine = (
        definition()
        .spine_sql.replace("ordered_at as", "ordered_at::timestamp as")
        .replace("closed_at as", "closed_at::timestamp as")
    )
    shop.refresh(view())
    aware = shop.build(definition(view()))

    shop.refresh(naive)
    built = shop.build(definition(naive, spine_sql=spine))

    assert built.manifest.sha256 == aware.manifest.sha256
    assert str(built.table.schema.field("prediction_time").type) == "timestamp[us, tz=UTC]"


@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe"])
def test_the_zone_of_the_machine_changes_nothing(shop, zone, monkeypatch):
    # The cast to a date and back would take the session's zone.
    daily = view(RETURNS_SQL.replace("closed_at as event_timestamp", "closed_at::date::timestamptz as event_timestamp"))
    identities = []
    for place in ("UTC", zone):
        with monkeypatch.context() as patch:
            patch.setenv("TZ", place)
            time.tzset()
            shop.refresh(daily)
            identities.append(shop.build(definition(daily)).manifest.sha256)
    time.tzset()

    assert identities[0] == identities[1]


# New York's clocks go from 01:59:59 to 03:00 on 10 March 2024 (07:00 UTC), which is day 9 of the shop.
WALL_CLOCK = """
    select 'ann' as customer, timezone('America/New_York', wall) as event_timestamp, event_timestamp as known_at, value as return_share
    from (values (timestamp '2024-03-10 01:30', 1.0), (timestamp '2024-03-10 03:15', 2.0)) rows(wall, value)
"""


@pytest.mark.parametrize(
    ("utc_hour", "found"),
    [
        (6.4, None),  # before 01:30 there
        (6.5, 1.0),
        (7.2, 1.0),  # 03:12 there: 42 minutes later, not 1 h 42 min
        (7.25, 2.0),
        (8.25, 2.0),  # exactly as old as the ttl
        (8.3, None),
    ],
)
def test_wall_clocks_are_moments_across_a_change_of_clocks(tmp_path, utc_hour, found):
    shop = Shop.of(tmp_path, [order(1, 9 + utc_hour / 24, closed=1)])
    hourly = view(WALL_CLOCK, ttl_days=1 / 24)
    shop.refresh(hourly)

    (row,) = shop.build(definition(hourly)).table.to_pylist()

    assert row["return_share"] == found


def test_a_view_keeps_moments_in_utc(shop):
    (refreshed,) = shop.refresh(view(WALL_CLOCK))

    written = tables.read(refreshed.uri)["event_timestamp"]

    assert str(written.type) == "timestamp[us, tz=UTC]"
    assert [at.isoformat() for at in written.to_pylist()] == ["2024-03-10T06:30:00+00:00", "2024-03-10T07:15:00+00:00"]
