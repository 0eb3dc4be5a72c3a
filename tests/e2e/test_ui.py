"""What a person sees in the browser after some weeks of the shop."""

import os
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from shop.deployment import TRAINING_WEEKS
from shop.location import Location, make_location
from shop.rolling import roll
from shop.world import Week, write_orders

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(290)]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WEEKS = 7  # before that the history is too short to judge
FAULTY = TRAINING_WEEKS + WEEKS - 1
GROUPS = ("ingestion", "quarantine", "features", "returns")
SHOTS = os.environ.get("MLOPS_TEST_SHOTS")  # a folder for pictures of every page that a test has opened


@pytest.fixture(scope="module")
def monkeymodule() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def location(tmp_path_factory: pytest.TempPathFactory, monkeymodule: pytest.MonkeyPatch) -> Iterator[Location]:
    """Return the running shop after some served weeks, the last of them with amounts in cents."""
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: install it, for example with `apt-get install chromium`")
    for location in make_location(tmp_path_factory.mktemp("ui"), monkeymodule):
        shop = location.shop
        write_orders(location.folder / "orders.parquet", [Week()] * FAULTY + [Week(scale=100.0)])
        shop.deploy()
        for week in range(TRAINING_WEEKS, FAULTY + 1):
            shop.serve_week(week)
        roll(shop)
        for _ in ("shadow", "half"):
            shop.replay.clock.set(shop.replay.clock.now() + timedelta(minutes=1))
            shop.replay.tick("rollouts")
        location.start()
        yield location


@pytest.fixture(scope="module")
def browser(location: Location) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Return a page; at the end of the test it must have shown no error."""
    page = browser.new_page(viewport={"width": 1600, "height": 1100})
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("response", lambda response: errors.append(response.url) if response.status >= 500 else None)
    yield page
    if SHOTS:
        page.wait_for_timeout(1000)
        page.screenshot(path=f"{SHOTS}/{request.node.name}.png")
    errors += page.get_by_text(
        re.compile("unexpected (GraphQL )?error|PythonError|Traceback", re.IGNORECASE)
    ).all_inner_texts()
    page.close()
    assert errors == []


def visit(page: Page, location: Location, path: str) -> None:
    page.goto(f"http://127.0.0.1:{location.port}{path}", wait_until="domcontentloaded")


def test_the_graph_has_a_group_for_each_stage_and_model(page: Page, location: Location) -> None:
    visit(page, location, "/asset-groups")

    for group in GROUPS:
        expect(page.get_by_text(group, exact=True).first).to_be_visible()


def test_the_evaluation_shows_its_criteria_its_owner_and_its_mlflow_run(page: Page, location: Location) -> None:
    visit(page, location, "/assets/returns/evaluation")

    table = page.locator("table", has=page.get_by_role("columnheader", name="criterion"))
    for criterion in ("floor", "baseline", "serving_equality"):
        expect(table.get_by_role("cell", name=criterion, exact=True).last).to_be_visible()
    expect(page.locator("a[href*='/#/experiments/']").first).to_be_visible()
    expect(page.get_by_text("ml", exact=True).first).to_be_visible()


def test_a_candidate_has_pictures_that_load(page: Page, location: Location) -> None:
    visit(page, location, "/assets/returns/candidate")
    expect(page.get_by_text("[Show Markdown]").first).to_be_visible()

    for place in range(page.get_by_text("[Show Markdown]").count()):
        page.get_by_text("[Show Markdown]").nth(place).click()
        picture = page.get_by_role("dialog").locator("img")
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.naturalWidth") > 200
        page.keyboard.press("Escape")
        expect(picture).to_be_hidden()


def test_a_rollout_tells_its_story_with_a_table_and_a_picture(page: Page, location: Location) -> None:
    visit(page, location, "/assets/returns/rollout")

    table = page.locator("table", has=page.get_by_role("columnheader", name="shadow"))
    for row in ("passed passed under way", "requests 300 300", "error share 0 of 0.0333: pass 0 of 0.0333: pass"):
        expect(table.get_by_role("row", name=row).last).to_be_visible()
    expect(page.get_by_text("Version 2 is at step 100 % (3 of 3)").first).to_be_visible()
    page.get_by_text("[Show Markdown]").first.click()
    picture = page.get_by_role("dialog").locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 400
    page.keyboard.press("Escape")


def test_the_check_of_a_rollout_says_where_it_stands(page: Page, location: Location) -> None:
    visit(page, location, "/assets/returns/rollout?view=checks")

    page.get_by_text("rollout_healthy", exact=True).first.click()
    expect(page.get_by_text("returns-2-1 is running").first).to_be_visible()


def test_the_faulty_week_is_to_be_investigated(page: Page, location: Location) -> None:
    visit(page, location, f"/assets/returns/drift_report?view=partitions&partition={location.shop.key(FAULTY)}")

    expect(page.get_by_text("investigate", exact=True)).to_be_visible()
    expect(page.get_by_text("a change of unit?").first).to_be_visible()
    table = page.locator("table", has=page.get_by_role("columnheader", name="PSI"))
    expect(table.get_by_role("cell", name="amount", exact=True).last).to_be_visible()


def test_both_drift_checks_warn_about_the_faulty_week(page: Page, location: Location) -> None:
    visit(page, location, "/assets/returns/drift_report?view=checks")

    for check in ("no_drift", "no_fault"):
        page.get_by_text(check, exact=True).first.click()
        expect(page.get_by_text(location.shop.key(FAULTY)).first).to_be_visible()
        expect(page.get_by_text("Failed").first).to_be_visible()


def test_every_rule_of_the_contract_is_a_check_that_says_what_it_is(page: Page, location: Location) -> None:
    visit(page, location, "/assets/raw/shop/orders?view=checks")

    for check in ("amount_positive", "customer_present", "row_count", "unique_key"):
        page.get_by_text(check, exact=True).first.click()
        expect(page.get_by_text("Latest execution")).to_be_visible()
        expect(page.get_by_text("No description provided")).to_have_count(0)


def test_the_kinds_of_file_are_documented(page: Page, location: Location) -> None:
    visit(page, location, "/locations/shop/docs")
    page.get_by_text("mlops_assets", exact=True).first.click()

    for kind in ("Ingestion", "FeatureView", "ModelLifecycle"):
        expect(page.get_by_text(kind).first).to_be_visible()
    page.get_by_text("ModelLifecycle").first.click()
    expect(page.get_by_text("label_timeout_days").first).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["report/report.html", "model_card/model_card.html"])
def test_the_report_and_the_model_card_fit_a_laptop_and_a_phone(
    page: Page, location: Location, name: str, width: int
) -> None:
    (file,) = (location.shop.home / "mlartifacts").rglob(name)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(file.as_uri())

    expect(page.get_by_role("heading", level=1)).to_contain_text("returns")
    expect(page.get_by_role("cell", name="serving_equality").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    pictures = page.locator("img").all()
    assert (len(pictures) >= 4) == name.startswith("report")
    for picture in pictures:
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 200
