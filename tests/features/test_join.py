"""The point-in-time join against a loop over all rows, and against DuckDB's own as-of join where nothing arrives late."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.features.join import EntityMismatch, JoinedView, point_in_time_join
from mlops_assets.features.spec import FeatureViewSpec
from mlops_assets.lake.engine import attach_arrow, connect

T0 = datetime(2024, 3, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def view_spec(*, entity: list[str], ttl_hours: float | None = None, feature: str = "value") -> FeatureViewSpec:
    return FeatureViewSpec.model_validate(
        {
            "name": "view",
            "description": "A view.",
            "entity": entity,
            "sources": {"rows": "shop/rows"},
            "sql": "select 1",
            "ttl_days": None if ttl_hours is None else ttl_hours / 24,
            "features": {feature: {"description": "A value."}},
        }
    )


def feature_rows(rows: list[tuple[Any, Any, int, int]], feature: str = "value") -> pa.Table:
    """Return rows of (shop, item, event hour, known hour); the value says which row it is."""
    return pa.table(
        {
            "shop": pa.array([row[0] for row in rows], pa.string()),
            "item": pa.array([row[1] for row in rows], pa.int64()),
            "event_timestamp": pa.array([at(row[2]) for row in rows], TIME),
            "known_at": pa.array([at(row[3]) for row in rows], TIME),
            feature: pa.array(range(len(rows)), pa.int64()),
        }
    )


def spine_rows(rows: list[tuple[Any, Any, int]]) -> pa.Table:
    return pa.table(
        {
            "shop": pa.array([row[0] for row in rows], pa.string()),
            "item": pa.array([row[1] for row in rows], pa.int64()),
            "prediction_time": pa.array([at(row[2]) for row in rows], TIME),
            "note": pa.array([f"row {i}" for i in range(len(rows))]),
        }
    )


def join(spine: pa.Table, features: pa.Table, spec: FeatureViewSpec) -> pa.Table:
    with connect() as con:
        attach_arrow(con, "features/view", features)
        return point_in_time_join(con, spine, [JoinedView(spec, "features/view", tuple(spec.features))])


def brute_force(
    rows: list[tuple[Any, Any, int, int]], shop: Any, item: Any, hour: int, *, ttl: int | None
) -> int | None:
    if shop is None or item is None:
        return None
    usable = [
        (event, known, number)
        for number, (its_shop, its_item, event, known) in enumerate(rows)
        if (its_shop, its_item) == (shop, item) and known <= hour and event <= hour
    ]
    if not usable:
        return None
    event, _, number = max(usable)
    return number if ttl is None or hour - event <= ttl else None


shops, items, hours = st.sampled_from(["a", "b", None]), st.sampled_from([1, 2, None]), st.integers(0, 12)
bitemporal = st.lists(st.tuples(shops, items, hours, hours), unique=True, max_size=40)


@given(bitemporal, st.lists(st.tuples(shops, items, hours), max_size=20), st.none() | st.integers(1, 6))
def test_each_spine_row_gets_what_a_loop_over_all_rows_finds(rows, asked, ttl):
    spine = spine_rows(asked)

    joined = join(spine, feature_rows(rows), view_spec(entity=["shop", "item"], ttl_hours=ttl))

    assert joined.select(spine.column_names).equals(spine)
    assert joined["value"].to_pylist() == [brute_force(rows, *row, ttl=ttl) for row in asked]


@given(
    st.lists(st.tuples(shops, hours), unique=True, max_size=30),
    st.integers(0, 3),
    st.lists(st.tuples(shops, hours), max_size=20),
)
def test_without_late_rows_it_is_a_plain_as_of_join(events, delay, asked):
    features = feature_rows([(shop, 1, hour, hour + delay) for shop, hour in events])
    spine = spine_rows([(shop, 1, hour) for shop, hour in asked]).append_column("i", [list(range(len(asked)))])
    with duckdb.connect() as con:
        con.register("spine", spine)
        con.register("features", features)
        found = con.execute("""
            select f.value from spine s asof left join features f on s.shop = f.shop and s.prediction_time >= f.known_at
            order by s.i
        """).fetchall()

    joined = join(spine, features, view_spec(entity=["shop"]))

    assert joined["value"].to_pylist() == [value for (value,) in found]


CORRECTED = [
    ("a", 1, 1, 1),  # 0: the first word about hour 1
    ("a", 1, 1, 5),  # 1: its correction, known at hour 5
    ("a", 1, 3, 3),  # 2: the first word about hour 3
    ("a", 1, 2, 8),  # 3: late news about an older hour
    ("a", 1, 10, 6),  # 4: issued at hour 6 about hour 10
]


@pytest.mark.parametrize(("hour", "value"), [(0, None), (1, 0), (2, 0), (3, 2), (5, 2), (8, 2), (9, 2), (10, 4)])
def test_a_correction_neither_reaches_back_nor_displaces_a_newer_row(hour, value):
    joined = join(spine_rows([("a", 1, hour)]), feature_rows(CORRECTED), view_spec(entity=["shop"]))

    assert joined["value"].to_pylist() == [value]


@pytest.mark.parametrize(("hours_later", "value"), [(6, 0), (6 + 1e-6, None)])
def test_a_value_lives_exactly_as_long_as_its_ttl(hours_later, value):
    spine = spine_rows([("a", 1, 0)]).set_column(2, "prediction_time", pa.array([at(1 + hours_later)], TIME))

    joined = join(spine, feature_rows([("a", 1, 1, 1)]), view_spec(entity=["shop"], ttl_hours=6))

    assert joined["value"].to_pylist() == [value]


def test_several_views_each_add_their_columns():
    with connect() as con:
        attach_arrow(con, "one", feature_rows([("a", 1, 1, 1)], "x"))
        attach_arrow(con, "two", feature_rows([("b", 1, 1, 1), ("a", 1, 2, 2)], "y"))
        views = [
            JoinedView(view_spec(entity=["shop"], feature="x"), "one", ("x",)),
            JoinedView(view_spec(entity=["shop", "item"], feature="y"), "two", ("y",)),
        ]
        joined = point_in_time_join(con, spine_rows([("a", 1, 1), ("b", 1, 3), ("a", 1, 3)]), views)

    assert (joined["x"].to_pylist(), joined["y"].to_pylist()) == ([0, None, 0], [None, 0, 1])


@pytest.mark.parametrize("name", ["usable_at", "row", "__row", "b", "arrival", "select"])
def test_no_name_of_a_feature_is_taken_by_the_join_itself(name):
    if name == "__row":
        spec = view_spec(entity=["shop"]).model_copy(update={"features": {name: None}})
    else:
        spec = view_spec(entity=["shop"], feature=name)

    joined = join(spine_rows([("a", 1, 2)]), feature_rows([("a", 1, 1, 1)], name), spec)

    assert joined[name].to_pylist() == [0]


def test_entities_that_cannot_be_compared_are_refused():
    spine = spine_rows([("a", 1, 2)]).set_column(0, "shop", pa.array([7]))

    with pytest.raises(EntityMismatch, match="features/view joined on shop"):
        join(spine, feature_rows([("a", 1, 1, 1)]), view_spec(entity=["shop"]))
