"""The status page in a real browser, fed by a real server whose challenger is at a quarter of the traffic."""

import os
import shutil
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mlops_assets.lake.state import LocalState
from mlops_assets.rollout import machine, rollouts
from mlops_assets.rollout.evidence import Judged
from mlops_assets.rollout.routing import Route, Routing
from mlops_assets.rollout.spec import RolloutSpec
from mlops_assets.rollout.state import Look, Rollout
from mlops_assets.rollout.traffic import change_routing, give_all_traffic
from tests.serving.conftest import save_model
from tests.serving.fleet import Fleet, serving
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(200)]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SHOTS = os.environ.get("MLOPS_TEST_SHOTS")
EVIL = "<img src=x onerror=document.title='owned'>"
JUDGED = (
    Judged("error_share", "pass", 0.0012, 0.05, "challenger 2 of 1,640, champion 5 of 4,920: p = 0.71"),
    Judged("latency_p99", "inconclusive", 1.19, 1.25, "14 requests above 1.25 x the champion's p99, 16.4 expected"),
    Judged("prediction_shift", "fail", 0.31, 0.25, f"PSI 0.31 on 6,560 rows {EVIL}"),
    Judged("label_metric", "no_data", None, None, "12 labels of 200", dry_run=True),
)


def rolling(routes: list[Route], *, step: int, now: datetime) -> Rollout:
    spec = RolloutSpec.model_validate({"steps": ["shadow", 5, {"percent": 25, "gate": "manual"}, 50, 100]})
    begun = machine.begin("churn", routes[0], routes[1], spec, number=1, now=now, why="better by 1.2 %", who="ada")
    look = Look(step, 25.0, now, now, 1640, JUDGED, looks=7)
    return replace(begun, step=step, since=now - timedelta(minutes=12), looks=(look,))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Fleet]:
    """Return a server of two workers with three models: a rollout, an ordinary one, and one with a name that bites."""
    home = tmp_path_factory.mktemp("status")
    routes = [Route(one, f"run{one}", str(save_model(home / "models" / str(one), intercept=one))) for one in (1, 2)]
    state, now = LocalState(str(home / "lake" / "dev")), datetime.now(UTC)
    for model in ("churn", "delay", EVIL):
        give_all_traffic(state, model, routes[0], now=now - timedelta(days=3), reason="first version", who="ada")
    rollout = rolling(routes, step=2, now=now)
    traffic = machine.traffic(rollout)

    def change(routing: Routing | None) -> Routing:
        assert routing is not None
        return replace(routing, rollout=rollout, challenger=traffic)

    change_routing(state, "churn", change, now=now, reason=f"churn-2-1, step 25 %: {EVIL}")
    with serving(home, "--workers", "2") as fleet:
        fleet.wait_for_workers(2)
        for number in range(120):
            body = {"instances": [{"x": number}]}
            assert fleet.ask("/models/churn/invocations", body)[0] == 200
        until(lambda: sum(one.requests for beat in fleet.workers() for one in beat.recent) == 120)
        yield fleet


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: install it, for example with `apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Generator[Page]:
    """Return a page; nothing may have gone wrong on it, nor anything been loaded from elsewhere."""
    scheme = getattr(request, "param", {})
    page = browser.new_page(viewport={"width": 1280, "height": 900}, **scheme)
    expect.set_options(timeout=30_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    yield page
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{request.node.name}.png", full_page=True)
    page.close()
    assert errors == []


def test_the_page_tells_who_answers_how_well_and_how_far_the_rollout_is(page: Page, site: Fleet) -> None:
    page.goto(site.admin_url)

    expect(page.locator(".live")).to_have_text("Live.")
    assert page.title() == "✓ dev model server"
    expect(page.locator("#top")).to_contain_text("2 of 2")
    model = page.locator("article", has=page.get_by_role("heading", name="churn", exact=True))
    expect(model.locator(".arm.champion")).to_contain_text("version 1")
    expect(model.locator(".arm.challenger")).to_contain_text("version 2")
    expect(model.get_by_role("img", name="champion 75%, challenger 25%")).to_be_visible()
    widths = [bar.evaluate("bar => bar.getBoundingClientRect().width") for bar in model.locator("svg rect").all()]
    assert widths[0] / widths[1] == pytest.approx(3, rel=0.01)
    assert model.locator(".track li").all_inner_texts() == ["shadow", "5 %", "25 %\nthen approval", "50 %", "100 %"]
    expect(model.locator("[aria-current=step]")).to_contain_text("25 %")
    assert model.locator(".verdict").all_inner_texts() == ["✓ pass", "? undecided", "✕ fail", "— no data"]
    expect(model.locator(".judged")).to_contain_text("0.0012 of 0.05")
    counted = [model.locator(f".arm.{arm} dd").first.inner_text() for arm in ("champion", "challenger")]
    assert sum(map(int, counted)) == 120
    for beat in site.workers():
        expect(page.locator(".workers")).to_contain_text(f"process {beat.pid}")


def test_a_name_or_a_reason_that_looks_like_html_is_text(page: Page, site: Fleet) -> None:
    page.goto(site.admin_url)

    expect(page.locator(".live")).to_have_text("Live.")
    expect(page.get_by_role("heading", name=EVIL)).to_be_visible()
    assert page.locator("img:not([role])").count() == 0
    assert "owned" not in page.title()


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_without_scripts_the_first_paint_is_whole(page: Page, site: Fleet) -> None:
    page.goto(site.admin_url)

    expect(page.get_by_role("heading", name="churn", exact=True)).to_be_visible()
    expect(page.locator(".live")).to_contain_text("stands still")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_the_page_fits_a_laptop_and_a_phone_by_day_and_by_night(page: Page, site: Fleet, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(site.admin_url)

    expect(page.locator(".live")).to_have_text("Live.")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (
        background
        == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 28)"}[
            page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'")
        ]
    )


def test_a_change_of_the_routing_shows_by_itself(page: Page, site: Fleet) -> None:
    page.goto(site.admin_url)
    expect(page.locator("article .chip.challenger")).to_have_text("▸ rolling out")

    state = LocalState(str(site.home / "lake" / "dev"))
    rollouts.act(state, "churn", "abort", who="grace", why="enough seen", now=datetime.now(UTC))

    model = page.locator("article", has=page.get_by_role("heading", name="churn", exact=True))
    expect(model.locator(".arm.challenger")).to_have_count(0)
    expect(model.get_by_text("✕ aborted")).to_be_visible()
    expect(model.locator(".history")).to_contain_text("enough seen")
    expect(model.locator(".stopped")).to_contain_text("25 %")
    expect(model.get_by_role("img", name="champion 100%")).to_be_visible()
    expect(page.locator("#top")).to_contain_text("120")
