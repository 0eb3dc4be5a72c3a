"""Raw tables by reference: all versions of a row or the newest, now and as they were known, always of one table version."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.contract.known_at import effective
from mlops_assets.contract.published import NoVersionsOfRows
from mlops_assets.contract.spec import TableSpec
from mlops_assets.features.sources import cut_sources, open_sources
from mlops_assets.lake.delta import TableNotFound
from mlops_assets.lake.engine import connect
from mlops_assets.lake.tables import overwrite

ZERO = datetime(2024, 3, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("country", pa.string()),
        ("amount", pa.float64()),
        ("recorded_at", TIME),
        ("revision", pa.int32()),
        ("is_deleted", pa.bool_()),
    ]
)
FACTS = {"key": '["id", "country"]'}
ORDERS = TableSpec.model_validate(
    {
        "description": "One order.",
        "key": ["id", "country"],
        "columns": {"id": "BIGINT", "country": "VARCHAR", "amount": "DOUBLE"},
        "publish": "history",
        "known_at": {"row": f"timestamptz '{ZERO.isoformat()}'"},
    }
)
KNOWN_AT = {"shop/orders": effective(ORDERS)}


def version(number: int, amount: float, hour: int, revision: int, *, gone: bool = False, country: str | None = "NO"):
    at = ZERO + timedelta(hours=hour)
    return dict(zip(SCHEMA.names, (number, country, amount, at, revision, gone), strict=True))


def publish(lake: Path, *rows: dict, facts: dict[str, str] = FACTS) -> int:
    return overwrite(f"{lake}/raw/shop/orders", pa.Table.from_pylist(list(rows), SCHEMA), properties=facts)


def amounts(lake: Path, reference: str, *, hour: int | None = None, versions: dict[str, int] | None = None) -> dict:
    """Return the amounts by id, of the past if an hour is given."""
    sources = {"o": reference}
    with connect() as con:
        open_sources(con, str(lake), sources, versions=versions)
        if hour is not None:
            cut_sources(con, sources, KNOWN_AT, at=ZERO + timedelta(hours=hour))
        found = con.sql("select * from o order by all").to_arrow_table().to_pylist()
    return {row["id"]: row["amount"] for row in found}


def test_current_shows_the_newest_version_of_each_key_without_deleted_ones_and_without_the_columns_of_versions(
    tmp_path,
):
    publish(
        tmp_path,
        version(1, 10.0, 0, 0),
        version(1, 11.0, 5, 1),
        version(2, 20.0, 0, 0),
        version(2, 20.0, 6, 1, gone=True),
        version(3, 30.0, 0, 0),
        version(3, 30.0, 1, 1, gone=True),
        version(3, 33.0, 2, 2),
        version(4, 40.0, 0, 0, country=None),
        version(4, 44.0, 1, 1, country=None),
    )

    assert amounts(tmp_path, "shop/orders@current") == {1: 11.0, 3: 33.0, 4: 44.0}
    with connect() as con:
        open_sources(con, str(tmp_path), {"o": "shop/orders@current", "every": "shop/orders"})
        assert con.sql("from o").columns == ["id", "country", "amount"]
        assert con.sql("select count(*) from every").fetchall() == [(9,)]


def test_under_a_cut_the_newest_version_is_the_newest_that_was_known(tmp_path):
    publish(
        tmp_path,
        version(1, 10.0, 3, 0),  # late to us, and yet a first version: known when its table says
        version(1, 11.0, 5, 1),
        version(1, 12.0, 8, 2),
        version(2, 20.0, 0, 0),
        version(2, 20.0, 6, 1, gone=True),
    )

    seen = {hour: amounts(tmp_path, "shop/orders@current", hour=hour) for hour in (-1, 0, 4, 5, 6, 8)}

    assert seen == {
        -1: {},
        0: {1: 10.0, 2: 20.0},
        4: {1: 10.0, 2: 20.0},
        5: {1: 11.0, 2: 20.0},
        6: {1: 11.0},
        8: {1: 12.0},
    }


@settings(max_examples=50)  # each opens a database
@given(
    histories=st.lists(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=4), max_size=4),
    hour=st.integers(0, 10),
)
def test_any_cut_shows_what_a_replay_of_the_versions_shows(tmp_path_factory, histories, hour):
    lake, rows, expected = tmp_path_factory.mktemp("lake"), [], {}
    for number, steps in enumerate(histories):
        at = 0
        for revision, (wait, is_gone) in enumerate(steps):
            at, gone = at + wait, is_gone and revision > 0
            rows.append(version(number, float(revision), at, revision, gone=gone))
            if revision == 0 or at <= hour:  # replay: the last one known decides
                expected[number] = None if gone else float(revision)
    publish(lake, *rows)

    found = amounts(lake, "shop/orders@current", hour=hour)

    assert found == {number: amount for number, amount in expected.items() if amount is not None}


def test_all_references_to_a_table_are_read_at_one_version_and_at_the_pinned_one(tmp_path):
    first = publish(tmp_path, version(1, 10.0, 0, 0))
    second = publish(tmp_path, version(1, 10.0, 0, 0), version(1, 11.0, 5, 1))
    sources = {"a": "shop/orders@current", "b": "shop/orders"}
    with connect() as con:
        assert open_sources(con, str(tmp_path), sources) == {"shop/orders@current": second, "shop/orders": second}

    pinned = {"shop/orders@current": first}
    assert amounts(tmp_path, "shop/orders@current", versions=pinned) == {1: 10.0}
    assert amounts(tmp_path, "shop/orders@current") == {1: 11.0}


def test_a_table_without_versions_of_rows_is_refused(tmp_path):
    plain = pa.table({"id": [1], "amount": [1.0]})
    overwrite(f"{tmp_path}/raw/shop/orders", plain, properties=FACTS)

    with pytest.raises(NoVersionsOfRows, match="found no column recorded_at, revision, is_deleted; required"):
        amounts(tmp_path, "shop/orders@current")


def test_a_table_whose_commit_names_no_key_is_refused(tmp_path):
    publish(tmp_path, version(1, 10.0, 0, 0), facts={})

    with pytest.raises(NoVersionsOfRows, match="found a commit that does not name the key"):
        amounts(tmp_path, "shop/orders@current")


def test_a_table_that_was_never_published_says_so(tmp_path):
    with pytest.raises(TableNotFound, match="raw/shop/orders: found no table"):
        amounts(tmp_path, "shop/orders@current")
