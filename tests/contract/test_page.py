"""The data-quality page: it retells the stored verdicts, needs nothing else, and fits a phone."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
from ingestion import feed
from ingestion.world import COLUMNS, Shop, day, order, orders, shop_spec
from playwright.sync_api import Browser, sync_playwright

from mlops_assets.contract.page.render import render_page
from mlops_assets.contract.verdict import newest_verdicts
from mlops_assets.ingestion.quality_page import quality_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
RULES = [
    {"name": "paid", "sql": "amount > 0"},
    {"name": "known_city", "sql": "city <> 'Rome'", "severity": "warn"},
    {"name": "no_bribe", "sql": "amount < 100", "severity": "block"},
]
DAYS = [day(1), day(2), day(3)]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def spec_of(**table):
    return shop_spec(rules=RULES, owners=["team:orders"], version=7, row_count={"min": 1}, **table)


def ingest(shop: Shop, monkeypatch: pytest.MonkeyPatch, *rows: dict, days=DAYS, spec=None, extra: bool = False) -> str:
    delivered = orders(*rows)
    if extra:
        delivered = delivered.append_column("coupon", pa.array(["x"] * len(rows)))
    monkeypatch.setattr(feed, "deliver", lambda *_: [delivered])
    shop.ingest(days, spec=spec or spec_of())
    return Path(quality_page(shop.lake, spec or spec_of(), "orders")).read_text()


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.split("<main>")[1]).split())


def card(page: str, rule: str) -> str:
    return next(one for one in page.split("<article class=rule>")[1:] if one.startswith(f"<h3>{rule} "))


def test_it_says_for_each_check_in_how_many_windows_it_held(shop, monkeypatch):
    rows = [order(1, 1, -1.0), order(2, 1, 0.0), order(3, 1), order(4, 2, -5.0), order(5, 3, city="Rome")]
    page = ingest(shop, monkeypatch, *rows)
    assert "1 passed, 2 failed (3 rows)" in text_of("<main>" + card(page, "paid"))
    assert "2 passed, 1 failed (1 row)" in text_of("<main>" + card(page, "known_city"))
    assert "3 passed, 0 failed. Newest: 1 rows" in text_of("<main>" + card(page, "row_count"))
    assert [card(page, "paid").count(f'class="{kind}"') for kind in ("kept", "quarantine")] == [1, 2]
    assert "team:orders" in page
    assert "version 7" in page


def test_it_shows_rows_of_the_newest_broken_window_and_new_columns(shop, monkeypatch):
    page = ingest(shop, monkeypatch, order(1, 1, -1.0), order(2, 2, -2.5), order(3, 3), extra=True)
    broken = page.split("<h2>Broken rows</h2>")[1].split("<h2>")[0]
    assert "2024-03-02: 1 of 1 rows break it" in broken
    assert ">-2.5<" in broken
    assert ">-1<" not in broken
    assert "<td>coupon</td><td>string</td>" in page.split("<h2>Schema changes</h2>")[1]


def test_bars_are_as_high_as_their_numbers(shop, monkeypatch):
    page = ingest(shop, monkeypatch, *(order(n, 1) for n in range(4)), order(9, 2), order(8, 2, -1.0))
    charts = [ET.fromstring(one) for one in re.findall(r'<svg class="chart".*?</svg>', page)]
    heights = [[float(rect.attrib["height"]) for rect in chart] for chart in charts]
    assert heights == [[1, 0.25, 0], [0, 1, 0]]


def test_a_blocked_window_is_marked(shop, monkeypatch):
    page = ingest(shop, monkeypatch, order(1, 1), order(2, 2), order(3, 3, 500.0))
    assert "✕ blocked" in page.split("</h1>")[1].split("</div>")[0]
    assert page.split("<figure>")[1].count('class="block"') == 1
    assert "2024-03-03: 0 (blocked)" in page


def test_a_contract_that_changed_is_told_and_its_old_checks_stay_to_be_read(shop, monkeypatch):
    ingest(shop, monkeypatch, order(1, 1, -1.0))
    page = Path(quality_page(shop.lake, shop_spec(version=8), "orders")).read_text()
    assert re.search(r"version 8 \(\w{12}\); the newest verdict is by version 7 \(\w{12}\)", page)
    assert "No longer in the contract" in card(page, "paid")


def test_a_whole_table_has_a_page_over_its_loads(shop, monkeypatch):
    spec = shop_spec(partitioned=False)
    for count in (1, 2, 3):
        page = ingest(shop, monkeypatch, *(order(n, 1) for n in range(count)), days=[], spec=spec)
    assert "Loads 3" in text_of(page)
    verdicts, total = newest_verdicts(shop.lake, "shop", "orders", count=2, by_load=True)
    assert ([one["rows"] for one in verdicts], total) == ([2, 3], 3)
    assert newest_verdicts(shop.lake, "shop", "orders", count=2, by_load=False) == ([], 0)


def test_only_the_newest_windows_are_shown_and_the_others_counted(shop, monkeypatch):
    ingest(shop, monkeypatch, order(1, 1), order(2, 2), order(3, 3))
    verdicts, total = newest_verdicts(shop.lake, "shop", "orders", count=2, by_load=False)
    assert [one["window"] for one in verdicts] == ["2024-03-02", "2024-03-03"]
    declared = spec_of().tables["orders"]
    page = render_page(declared, verdicts, reference="shop/orders", owners=[], total=total).decode()
    assert "the newest 2 of 3" in page
    assert "2024-03-01" not in page
    assert "nobody" in page


def test_verdicts_from_before_contracts_had_versions_are_retold_too(shop, monkeypatch):
    ingest(shop, monkeypatch, order(1, 1))
    for file in Path(shop.lake, "verdicts", "shop", "orders").iterdir():
        file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "contract"}))
    page = Path(quality_page(shop.lake, spec_of(), "orders")).read_text()
    assert "the newest verdict is by an unnamed version" in page


def test_nothing_from_the_data_becomes_markup_and_nothing_is_fetched(shop, monkeypatch):
    evil = "<script>alert('$reference')</script>"
    spec = spec_of(description=evil)
    page = ingest(shop, monkeypatch, order(1, 1, -1.0, city=evil), spec=spec)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert") == 2
    assert not re.search(r"\b(src|href|@import|url)\s*[=(]|https?:", page)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: install it, for example with `apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_itself_never_scrolls_sideways(browser, shop, monkeypatch, width):
    wide = {f"a_column_with_a_rather_long_name_{n}": "VARCHAR" for n in range(12)}
    spec = spec_of(columns={**COLUMNS, **wide})
    delivered = orders(order(1, 1, -1.0), order(2, 2))
    for name in wide:
        delivered = delivered.append_column(name, pa.array(["some words", "more"]))
    monkeypatch.setattr(feed, "deliver", lambda *_: [delivered])
    shop.ingest(DAYS, spec=spec)
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(f"file://{quality_page(shop.lake, spec, 'orders')}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".scroll").first.evaluate("box => box.scrollWidth > box.clientWidth")
    smallest = page.evaluate(
        "Math.min(...[...document.querySelectorAll('p,td,dd,dt')].map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 12
    page.close()
