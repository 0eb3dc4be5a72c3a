"""The point-in-time join against a loop over all rows, and against DuckDB's own as-of join where nothing arrives late."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.features.join import EntityMismatch, JoinedView, point_in_time_join
from mlops_assets.features.spec import FeatureViewSpec, JoinEngineName
from mlops_assets.lake.engine import attach_arrow, connect
from mlops_assets.lake.identity import identity

T0 = datetime(2024, 3, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")
each_engine = pytest.mark.parametrize("engine", get_args(JoinEngineName))


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


def join(
    spine: pa.Table, features: pa.Table, spec: FeatureViewSpec, engine: JoinEngineName, *, threads: int = 1
) -> pa.Table:
    with connect(threads) as con:
        attach_arrow(con, "features/view", features)
        view = JoinedView(spec, "features/view", tuple(spec.features))
        return point_in_time_join(con, spine, [view], engine=engine)


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


shops, hours = st.sampled_from(["a", "b", None]), st.integers(0, 12)
people = st.sampled_from([("a", 1), ("a", 1), ("a", 1), ("a", 2), ("b", 1), (None, 1), ("a", None)])
# Every hour is asked about the entity that most rows are about, whatever else is.
EVERY_HOUR = [("a", 1, hour) for hour in range(13)]
bitemporal = st.lists(st.tuples(people, hours, hours).map(lambda row: (*row[0], *row[1:])), unique=True, max_size=40)
questions = st.lists(st.tuples(people, hours).map(lambda row: (*row[0], row[1])), max_size=20)


@each_engine
@settings(max_examples=50)  # each opens a database
@given(bitemporal, questions.map(lambda asked: asked + EVERY_HOUR), st.none() | st.integers(1, 6))
def test_each_spine_row_gets_what_a_loop_over_all_rows_finds(engine, rows, asked, ttl):
    spine = spine_rows(asked)

    joined = join(spine, feature_rows(rows), view_spec(entity=["shop", "item"], ttl_hours=ttl), engine)

    assert joined.select(spine.column_names).equals(spine)
    assert joined["value"].to_pylist() == [brute_force(rows, *row, ttl=ttl) for row in asked]


@each_engine
@settings(max_examples=50)  # each opens a database
@given(
    st.lists(st.tuples(shops, hours), unique=True, max_size=30),
    st.integers(0, 3),
    st.lists(st.tuples(shops, hours), max_size=20),
)
def test_without_late_rows_it_is_a_plain_as_of_join(engine, events, delay, asked):
    features = feature_rows([(shop, 1, hour, hour + delay) for shop, hour in events])
    spine = spine_rows([(shop, 1, hour) for shop, hour in asked]).append_column("i", [list(range(len(asked)))])
    with duckdb.connect() as con:
        con.register("spine", spine)
        con.register("features", features)
        found = con.execute("""
            select f.value from spine s asof left join features f on s.shop = f.shop and s.prediction_time >= f.known_at
            order by s.i
        """).fetchall()

    joined = join(spine, features, view_spec(entity=["shop"]), engine)

    assert joined["value"].to_pylist() == [value for (value,) in found]


CORRECTED = [
    ("a", 1, 1, 1),  # 0: the first word about hour 1
    ("a", 1, 1, 5),  # 1: its correction, known at hour 5
    ("a", 1, 3, 3),  # 2: the first word about hour 3
    ("a", 1, 2, 8),  # 3: late news about an older hour
    ("a", 1, 10, 6),  # 4: issued at hour 6 about hour 10
]


@each_engine
@pytest.mark.parametrize(("hour", "value"), [(0, None), (1, 0), (2, 0), (3, 2), (5, 2), (8, 2), (9, 2), (10, 4)])
def test_a_correction_neither_reaches_back_nor_displaces_a_newer_row(engine, hour, value):
    joined = join(spine_rows([("a", 1, hour)]), feature_rows(CORRECTED), view_spec(entity=["shop"]), engine)

    assert joined["value"].to_pylist() == [value]


@each_engine
@pytest.mark.parametrize(("hours_later", "value"), [(6, 0), (6 + 1e-6, None)])
def test_a_value_lives_exactly_as_long_as_its_ttl(engine, hours_later, value):
    spine = spine_rows([("a", 1, 0)]).set_column(2, "prediction_time", pa.array([at(1 + hours_later)], TIME))

    joined = join(spine, feature_rows([("a", 1, 1, 1)]), view_spec(entity=["shop"], ttl_hours=6), engine)

    assert joined["value"].to_pylist() == [value]


@each_engine
def test_several_views_each_add_their_columns(engine):
    with connect() as con:
        attach_arrow(con, "one", feature_rows([("a", 1, 1, 1)], "x"))
        attach_arrow(con, "two", feature_rows([("b", 1, 1, 1), ("a", 1, 2, 2)], "y"))
        views = [
            JoinedView(view_spec(entity=["shop"], feature="x"), "one", ("x",)),
            JoinedView(view_spec(entity=["shop", "item"], feature="y"), "two", ("y",)),
        ]
        joined = point_in_time_join(con, spine_rows([("a", 1, 1), ("b", 1, 3), ("a", 1, 3)]), views, engine=engine)

    assert (joined["x"].to_pylist(), joined["y"].to_pylist()) == ([0, None, 0], [None, 0, 1])


@each_engine
@pytest.mark.parametrize("name", ["usable_at", "row", "__row", "b", "arrival", "select", "place", "place_found", "s"])
def test_no_name_of_a_feature_is_taken_by_the_join_itself(engine, name):
    if name == "__row":
        spec = view_spec(entity=["shop"]).model_copy(update={"features": {name: None}})
    else:
        spec = view_spec(entity=["shop"], feature=name)

    joined = join(spine_rows([("a", 1, 2)]), feature_rows([("a", 1, 1, 1)], name), spec, engine)

    assert joined[name].to_pylist() == [0]


@each_engine
def test_entities_that_cannot_be_compared_are_refused(engine):
    spine = spine_rows([("a", 1, 2)]).set_column(0, "shop", pa.array([7]))

    with pytest.raises(EntityMismatch, match="features/view joined on shop: found string in the view and int64"):
        join(spine, feature_rows([("a", 1, 1, 1)]), view_spec(entity=["shop"]), engine)


@each_engine
@pytest.mark.parametrize("kind", [pa.int32(), pa.float64(), pa.decimal128(21, 2)])
def test_numbers_of_different_width_are_compared_by_value(engine, kind):
    spine = spine_rows([("a", 1, 2)]).set_column(1, "item", pa.array([1]).cast(kind, safe=False))

    joined = join(spine, feature_rows([("a", 1, 1, 1)]), view_spec(entity=["item"]), engine)

    assert joined["value"].to_pylist() == [0]


ZONES = st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
# Half hours around the night of 10 March 2024, when New York has no two o'clock.
moments = st.integers(-12, 12).map(lambda half: datetime(2024, 3, 10, 7, tzinfo=UTC) + half * timedelta(minutes=30))


@each_engine
@settings(max_examples=50)  # each opens a database
@given(
    st.lists(st.tuples(moments, moments), unique=True, max_size=12),
    st.lists(moments, max_size=8),
    st.tuples(ZONES, ZONES, ZONES),
    st.tuples(*[st.sampled_from(["s", "ms", "us"])] * 3),
    st.none() | st.integers(1, 8),
)
def test_times_are_moments_whatever_their_zone_and_unit(engine, rows, asked, zones, units, ttl_halves):
    spine_time, event_time, known_time = (pa.timestamp(unit, zone) for unit, zone in zip(units, zones, strict=True))
    features = pa.table(
        {
            "shop": pa.array(["a"] * len(rows), pa.string()),
            "event_timestamp": pa.array([event.astimezone(ZoneInfo(zones[1])) for event, _ in rows], event_time),
            "known_at": pa.array([known for _, known in rows], known_time),
            "value": pa.array(range(len(rows)), pa.int64()),
        }
    )
    spine = pa.table(
        {"shop": pa.array(["a"] * len(asked), pa.string()), "prediction_time": pa.array(asked, spine_time)}
    )

    joined = join(spine, features, view_spec(entity=["shop"], ttl_hours=ttl_halves and ttl_halves / 2), engine)

    ttl = timedelta.max if ttl_halves is None else ttl_halves * timedelta(minutes=30)
    expected = []
    for t in asked:
        found = max(
            ((event, known, i) for i, (event, known) in enumerate(rows) if max(event, known) <= t), default=None
        )
        expected.append(found[2] if found and t - found[0] <= ttl else None)
    assert joined["value"].to_pylist() == expected


@each_engine
def test_no_row_in_no_row_out(engine):
    spec = view_spec(entity=["shop"], ttl_hours=1)

    assert join(spine_rows([]), feature_rows([("a", 1, 1, 1)]), spec, engine)["value"].to_pylist() == []
    assert join(spine_rows([("a", 1, 2)]), feature_rows([]), spec, engine)["value"].to_pylist() == [None]


@each_engine
def test_rows_keep_their_order_with_any_number_of_threads(engine):
    """More rows than DuckDB gives one thread, in no order at all."""
    rng = np.random.default_rng(0)
    rows = {(str(shop), None, int(event), int(event + late)) for shop, event, late in rng.integers(0, 500, (40_000, 3))}
    spine = spine_rows([(str(shop), None, int(hour)) for shop, hour in rng.integers(0, 500, (300_000, 2))])
    features, spec = feature_rows(sorted(rows)), view_spec(entity=["shop"], ttl_hours=50)

    found = {identity(join(spine, features, spec, engine, threads=threads)) for threads in (1, 2, 2, 4)}

    assert len(found) == 1


def test_the_engines_agree_on_many_rows_with_late_ones():
    rng = np.random.default_rng(1)
    rows = {(str(s), int(i), int(e), int(e + late)) for s, i, e, late in rng.integers(0, 30, (30_000, 4))}
    spine = spine_rows([(str(s), int(i), int(hour)) for s, i, hour in rng.integers(0, 60, (50_000, 3))])
    features, spec = feature_rows(sorted(rows)), view_spec(entity=["shop", "item"], ttl_hours=20)

    one, other = (join(spine, features, spec, engine) for engine in get_args(JoinEngineName))

    assert one.equals(other)
    assert 0 < one["value"].null_count < spine.num_rows
