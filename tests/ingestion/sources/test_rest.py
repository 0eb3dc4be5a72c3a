"""A REST API that is configured in a file, against a server on this machine."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from ingestion.sources.api import Api, basic
from ingestion.sources.world import Loads, days, order, spec_of

from mlops_assets.ingestion.sources.failures import SourceFailed
from mlops_assets.ingestion.sources.paging import PageElsewhere, PagesUnclear, PageTwice
from mlops_assets.ingestion.sources.secrets import SecretMissing


def sent(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as JSON has it."""
    return {**row, "placed_at": row["placed_at"].isoformat().replace("+00:00", "Z")}


def source(api: Api, path: str = "all", endpoint: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    table = {"path": f"v1/{path}", **(endpoint or {})}
    return {"type": "rest_api", "base_url": api.url, "tables": {"orders": table}, **keys}


def by_time(**keys: Any) -> dict[str, Any]:
    return {"incremental": {"cursor": "placed_at", "start_param": "since", **keys}}


@pytest.fixture
def loads(tmp_path, api):
    def of(described: dict[str, Any], **keys: Any) -> Loads:
        return Loads(tmp_path / "work", spec_of(described, **keys))

    return of


ORDERS = [order(number, 1 + number) for number in range(7)]


@pytest.mark.parametrize(
    ("path", "paginator", "requests"),
    [
        ("all", {"type": "single_page"}, 1),
        ("pages", {"type": "page_number", "total_path": "meta.total_pages"}, 4),
        ("bare_pages", {"type": "page_number"}, 5),
        ("offset", {"type": "offset", "limit": 3, "total_path": "total"}, 3),
        ("offset", {"type": "offset", "limit": 3}, 4),
        ("cursor", {"type": "cursor", "cursor_path": "next_cursor", "cursor_param": "after"}, 4),
        ("link", {"type": "json_link", "next_url_path": "next"}, 4),
        ("header", {"type": "header_link"}, 4),
        ("all", {}, 1),
        ("link", {}, 4),
        ("header", {}, 4),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else str(value),
)
def test_every_page_is_read_once(api, loads, path, paginator, requests):
    api.rows = [sent(row) for row in ORDERS]
    assert loads(source(api, path, {"paginator": paginator})).rows() == ORDERS
    assert len(api.asked) == requests


@pytest.mark.parametrize(
    ("path", "sign"), [("pages", "total_pages: 4"), ("offset", "total: 7"), ("cursor", "next_cursor: 2")]
)
def test_an_answer_that_shows_more_pages_is_not_taken_for_all(api, loads, path, sign):
    api.rows = [sent(row) for row in ORDERS]
    with pytest.raises(PagesUnclear, match=sign):
        loads(source(api, path)).load()


@pytest.mark.parametrize("path", ["pages", "offset", "cursor"])
def test_one_page_is_all_if_the_answer_says_so(api, loads, path):
    api.rows = [sent(row) for row in ORDERS[:2]]
    assert loads(source(api, path)).rows() == ORDERS[:2]


def test_an_api_that_does_not_know_the_page_parameter_is_found_out(api, loads):
    api.rows = [sent(row) for row in ORDERS]
    with pytest.raises(PageTwice):
        loads(source(api, "bare_pages", {"paginator": {"type": "page_number", "page_param": "p"}})).load()


@pytest.mark.parametrize("path", ["link", "header"])
def test_credentials_do_not_follow_a_link_to_another_server(api, loads, monkeypatch, path):
    monkeypatch.setenv("SHOP_TOKEN", "0123")
    api.rows = [sent(row) for row in ORDERS]
    api.url = api.url.replace("127.0.0.1", "localhost")  # in the links
    here = source(api, path, auth={"type": "bearer", "token": "SHOP_TOKEN"})
    here["base_url"] = api.url.replace("localhost", "127.0.0.1")
    with pytest.raises(PageElsewhere, match="found a next page at http://localhost:"):
        loads(here).load()
    assert len(api.asked) == 1


def test_rows_are_found_where_the_selector_says(api, loads):
    api.rows = [{"items": [sent(order(9, 9))], "rows": [sent(row) for row in ORDERS]}]
    assert loads(source(api, endpoint={"data_selector": "[0].rows"})).rows() == ORDERS


def test_no_rows_are_a_table_without_rows(api, loads):
    staged = loads(source(api)).load()
    assert (staged.tables["orders"].num_rows, staged.complete) == (0, {"orders"})


AUTH = {
    "bearer": ({"type": "bearer", "token": "SHOP_TOKEN"}, lambda asked: asked.headers.get("authorization")),
    "header": (
        {"type": "api_key", "key": "SHOP_TOKEN"},
        lambda asked: f"Bearer {asked.headers.get('x-api-key')}",
    ),
    "query": (
        {"type": "api_key", "key": "SHOP_TOKEN", "location": "query", "name": "k"},
        lambda asked: f"Bearer {asked.query.get('k')}",
    ),
    "basic": (
        {"type": "basic", "username": "SHOP_USER", "password": "SHOP_TOKEN"},
        lambda asked: f"Bearer {basic(asked).removeprefix('ann:')}",
    ),
}


@pytest.mark.parametrize("kind", AUTH)
def test_the_api_knows_us_on_every_page(api, loads, monkeypatch, kind):
    auth, shown = AUTH[kind]
    monkeypatch.setenv("SHOP_USER", "ann")
    monkeypatch.setenv("SHOP_TOKEN", "0123/4+5 6")
    api.rows, api.allowed = [sent(row) for row in ORDERS], lambda asked: shown(asked) == "Bearer 0123/4+5 6"
    assert loads(source(api, "link", auth=auth)).rows() == ORDERS


@pytest.mark.parametrize(("token_seconds", "fetched"), [(3600, 1), (0, 4)])
def test_an_oauth_token_is_fetched_again_when_it_expires(api, loads, monkeypatch, token_seconds, fetched):
    monkeypatch.setenv("SHOP__CLIENT_SECRET", "s3cret-of-client")
    monkeypatch.setenv("SHOP__CLIENT_ID", "me")
    auth = {
        "type": "oauth2_client_credentials",
        "token_url": f"{api.url}/token",
        "client_id": "shop.client_id",
        "client_secret": "shop.client_secret",
        "scope": "read",
    }
    api.rows, api.token_seconds = [sent(row) for row in ORDERS], token_seconds
    api.allowed = lambda asked: asked.headers.get("authorization") == f"Bearer {api.tokens[-1]}"
    assert loads(source(api, "link", auth=auth)).rows() == ORDERS
    assert len(api.tokens) == fetched
    assert [one.query["scope"] for one in api.asked if one.path == "/token"] == ["read"] * fetched


def test_a_wrong_token_fails_at_once(api, loads, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "wrong")
    api.allowed = lambda asked: False
    with pytest.raises(SourceFailed, match="401 Client Error"):
        loads(source(api, auth={"type": "bearer", "token": "SHOP_TOKEN"})).load()
    assert len(api.asked) == 1


def test_a_missing_secret_is_named(api, loads):
    with pytest.raises(SecretMissing, match=r"Secret shop\.token: .* environment variable SHOP__TOKEN"):
        loads(source(api, auth={"type": "bearer", "token": "shop.token"})).load()
    assert api.asked == []


def test_a_busy_api_is_asked_again_after_as_long_as_it_says(api, loads):
    api.rows, api.faults = [sent(row) for row in ORDERS], [None, (429, {"Retry-After": "2"})]
    assert loads(source(api, "link")).rows() == ORDERS
    _, refused, again, *_ = api.asked
    assert again.query == refused.query
    assert again.at - refused.at >= 2


def test_a_page_that_breaks_off_and_a_server_error_are_asked_for_again(api, loads):
    api.rows, api.faults = [sent(row) for row in ORDERS], [None, "cut", (503, {}), "cut"]
    assert loads(source(api, "link")).rows() == ORDERS
    assert len(api.asked) == 7


@pytest.mark.parametrize("fault", ["cut", (500, {}), (429, {"Retry-After": "0"})])
def test_an_api_that_stays_broken_fails_the_load_after_the_declared_tries(api, loads, fault):
    api.rows, api.faults = [sent(row) for row in ORDERS], [None, fault, fault, fault]
    following = loads(source(api, "link", by_time(), max_attempts=2), publish="append")
    with pytest.raises(SourceFailed):
        following.load()
    assert (len(api.asked), following.states) == (3, {})
    api.faults = []
    assert following.rows() == ORDERS


def test_an_api_that_does_not_answer_fails_the_load(tmp_path, api, loads):
    api.selects = lambda row, query: time.sleep(1) is None
    api.rows = [sent(ORDERS[0])]
    with pytest.raises(SourceFailed, match=r"(?i)timed out"):
        loads(source(api, timeout_seconds=0.2, max_attempts=1)).load()


def since(row: dict[str, Any], query: dict[str, str]) -> bool:
    """Select as most APIs do: from an instant on, before another."""
    at = datetime.fromisoformat(row["placed_at"])
    start, end = query.get("since"), query.get("until")
    return (not start or at >= datetime.fromisoformat(start)) and (not end or at <= datetime.fromisoformat(end))


@pytest.mark.parametrize("keys", [{"end_param": "until"}, {}])
def test_a_window_is_asked_for_and_nothing_else_is_kept(api, loads, keys):
    midnight = [order(8, 3, hour=0), order(9, 4, hour=0)]
    api.rows, api.selects = [sent(row) for row in [*ORDERS, *midnight]], since
    found = loads(source(api, "link", by_time(**keys)), partitioned=True).rows(window=days(3))
    assert [row["order_id"] for row in found] == [2, 8]
    assert api.asked[0].query["since"] == "2024-03-03T00:00:00Z"
    assert api.asked[0].query.get("until") == ("2024-03-04T00:00:00Z" if keys else None)


@pytest.mark.parametrize(
    ("form", "start", "end"),
    [
        ("epoch_seconds", 1709424000, 1709510400),
        ("epoch_ms", 1709424000000, 1709510400000),
        ("date", "2024-03-03", "2024-03-04"),
    ],
)
def test_times_are_written_as_the_api_wants_them(api, loads, form, start, end):
    loads(source(api, endpoint=by_time(end_param="until", format=form)), partitioned=True).load(window=days(3))
    assert api.asked[0].query == {"since": str(start), "until": str(end)}


def test_the_next_load_asks_from_the_last_value_on_and_doubles_nothing(api, loads):
    api.rows, api.selects = [sent(row) for row in ORDERS[:3]], since
    following = loads(source(api, "link", by_time(initial="2024-03-01")), publish="append")
    assert following.ids() == [0, 1, 2]
    assert api.asked[0].query["since"] == "2024-03-01T00:00:00Z"
    assert following.ids() == []
    api.rows += [sent(row) for row in [order(7, 3), *ORDERS[3:]]]  # order 7 at the very instant of the last one
    assert following.ids() == [3, 4, 5, 6, 7]
    assert api.data[-4].query["since"] == "2024-03-03T12:00:00Z"


def test_the_first_load_asks_without_bound(api, loads):
    api.rows = [sent(ORDERS[0])]
    loads(source(api, endpoint=by_time()), publish="append").load()
    assert api.asked[0].query == {}


def test_a_correction_within_the_same_second_is_read(api, loads):
    api.rows, api.selects = [sent(row) for row in ORDERS[:3]], since
    following = loads(source(api, endpoint=by_time()), publish="history")
    following.load()
    api.rows[2]["amount"] = 7.0
    assert following.rows() == [{**ORDERS[2], "amount": 7.0}]


def test_a_fraction_of_a_second_counts_though_it_sorts_before_the_whole_one(api, loads):
    """`12:00:00.7Z` is less than `12:00:00Z` as text, which dlt compares by default."""
    api.rows, api.selects = [sent(order(1, 1))], since
    following = loads(source(api, endpoint=by_time()), publish="append")
    following.load()
    api.rows.append({**sent(order(2, 1)), "placed_at": "2024-03-01T12:00:00.7Z"})
    api.rows.append({**sent(order(3, 1)), "placed_at": "2024-03-01T14:00:00.250+01:00"})
    assert following.ids() == [2, 3]
    assert following.ids() == []


def test_lag_reads_back_by_days(api, loads):
    api.rows, api.selects = [sent(row) for row in ORDERS[3:5]], since
    following = loads(source(api, endpoint=by_time()), publish="append", lag_days=2)
    following.load()
    api.rows += [sent(row) for row in ORDERS[:3]]  # late: of 1, 2 and 3 March, the newest is of the 5th
    assert following.ids() == [2, 3, 4]
    assert api.asked[-1].query["since"] == "2024-03-03T12:00:00Z"


@pytest.mark.parametrize(
    ("look_back", "ids", "complete", "again"),
    [(None, [0, 1, 2, 3, 4], {"orders"}, []), (3, [1, 2, 3, 4], set(), [4])],  # looking back, dlt tells no rows apart
)
def test_a_full_read_forgets_the_cursor_or_looks_back(api, loads, look_back, ids, complete, again):
    api.rows, api.selects = [sent(row) for row in ORDERS[3:5]], since
    following = loads(
        source(api, endpoint=by_time()), publish="append", reconcile={"look_back_days": look_back} if look_back else {}
    )
    following.load()
    api.rows += [sent(row) for row in ORDERS[:3]]
    staged = following.load(full=True)
    assert sorted(staged.tables["orders"]["order_id"].to_pylist()) == ids
    assert staged.complete == complete
    assert following.ids() == again


def test_a_number_may_be_the_cursor_though_it_is_sent_as_text(api, loads):
    api.rows = [{**sent(order(number, 1)), "order_id": str(number)} for number in (8, 9)]
    following = loads(
        source(api, endpoint={"incremental": {"cursor": "order_id", "start_param": "from", "initial": 3}}),
        publish="append",
    )
    assert following.ids() == [8, 9]
    api.rows.append({**sent(order(10, 1)), "order_id": "10"})  # less than "9" as text
    assert following.ids() == [10]
    assert [one.query["from"] for one in api.asked] == ["3", "9"]


def test_seconds_since_1970_may_be_the_cursor_under_a_name_of_its_own(api, loads):
    def stamped(row: dict[str, Any]) -> dict[str, Any]:
        return {**sent(row), "placed_at": None, "placedAt": row["placed_at"].timestamp()}

    api.rows = [{key: value for key, value in stamped(row).items() if key != "placed_at"} for row in ORDERS[:2]]
    new = {"incremental": {"cursor": "placedAt", "start_param": "since", "format": "epoch_seconds"}}
    following = loads(source(api, endpoint=new), publish="append")
    assert following.rows() == ORDERS[:2]
    following.load()
    assert api.asked[-1].query["since"] == str(int(ORDERS[1]["placed_at"].timestamp()))


def test_rows_without_a_cursor_value_come_with_every_load_of_a_table_with_a_key(api, loads):
    api.rows = [sent(ORDERS[0]), {**sent(ORDERS[1]), "placed_at": None}]
    following = loads(source(api, endpoint=by_time()), publish="append")
    assert following.ids() == [0, 1]
    assert following.ids() == [1]
    with pytest.raises(SourceFailed, match="placed_at"):
        loads(source(api, endpoint=by_time()), publish="append", key=[]).load()


def test_utc_is_meant_where_no_zone_is_written(api, loads):
    api.rows = [{**sent(ORDERS[0]), "placed_at": "2024-03-01T12:00:00"}]
    assert loads(source(api, endpoint=by_time()), publish="append").rows()[0]["placed_at"] == datetime(
        2024, 3, 1, 12, tzinfo=UTC
    )
