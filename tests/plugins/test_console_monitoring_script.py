"""What a monitor has seen, in Chromium: on a desk and on a phone, in both themes, and what a dialog sends to Airflow.

As in `test_console_script.py`, the pages are real, and only Airflow's own API is replaced.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import pytest
from perennial.console import navigation
from perennial.console.app import PREFIX

from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.registry.incidents import Incidents, Scope
from include.settings import Settings
from tests.end_to_end.chromium import CHROMIUM, started
from tests.overview import watched_kit as kit
from tests.plugins.console_kit import HOSTILE, Browser
from tests.plugins.test_console_script import Airflow

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("PERENNIAL_REQUIRE_BROWSER"), reason="no chromium on this machine"
    ),
]
ORIGIN = "http://airflow"
PAGES = f"{ORIGIN}{PREFIX}{navigation.MODELS}"
PAGE = f"{PAGES}/{HOSTILE}"
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with started() as made:
        yield made


@pytest.fixture
def incident(hostile: None) -> int:
    """A model that is monitored and stale; returns the number of the incident."""
    reference = kit.reference()
    root = Settings.from_environment().lake / HOSTILE
    kit.write(root, kit.history(reference, days=30))
    kit.keep(reference, root, HOSTILE)
    seen = Seen(
        model=HOSTILE, kind=IncidentKind.STALE, cause="paired", severity=Severity.CRITICAL, since="2026-05-06",
        what="A newer fit is better.", todo="Release it.",
    )  # fmt: skip
    scope = Scope(HOSTILE, frozenset({IncidentKind.STALE, IncidentKind.DRIFT}))
    return Incidents.default().observe(scope, [seen], datetime.now(UTC), "run").opened[0].number


@pytest.fixture
def opened(chromium: Any, admin: Browser) -> Iterator[Callable[..., Any]]:
    """Opens an address in a window of this width and theme."""
    contexts = []
    another_thread = ThreadPoolExecutor(1)  # Playwright has an event loop in this one

    def open_page(address: str, airflow: Airflow, width: int = 1440, theme: str = "light") -> Any:
        context = chromium.new_context(viewport={"width": width, "height": 844}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()

        def ours(route: Any) -> None:
            found = another_thread.submit(admin.get, route.request.url.removeprefix(ORIGIN)).result()
            route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

        page.route(f"{ORIGIN}/**", ours)
        page.route(f"{ORIGIN}/api/v2/**", airflow.answer)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    another_thread.shutdown()


def findings(page: Any) -> list[str]:
    """The serious findings of axe-core."""
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
    violations = page.evaluate("async () => (await axe.run(document)).violations")
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in violations if one["impact"] in SERIOUS]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_pages_can_be_used_by_everyone_at_every_width(
    opened: Callable[..., Any], incident: int, width: int, theme: str
) -> None:
    for address in (PAGE, PAGES):
        page = opened(address, Airflow([None]), width, theme)
        page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
        assert findings(page) == [], address
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, address


def test_a_phone_begins_with_the_newest_days_and_the_names_stay(opened: Callable[..., Any], incident: int) -> None:
    page = opened(PAGE, Airflow([None]), 390)
    newest = page.locator(".map .cell.beyond").last
    newest.scroll_into_view_if_needed()
    box = newest.bounding_box()
    assert box is not None and 0 <= box["x"] <= 390
    page.locator(".map").evaluate("one => { one.scrollLeft = -one.scrollWidth; }")
    box = page.locator(".heat.names").bounding_box()
    assert box is not None and box["x"] >= 0


def test_a_feature_is_chosen_from_the_map_and_from_the_form(opened: Callable[..., Any], incident: int) -> None:
    page = opened(PAGE, Airflow([None]))
    page.get_by_role("link", name=f"{kit.STEADY}: distributions then and now").click()
    page.get_by_role("heading", name=f"{kit.STEADY} then and now").wait_for()
    page.locator("select[name=feature]").select_option(kit.CATEGORY)
    page.locator("select[name=day]").select_option(kit.key(3))
    page.locator("form.filter", has=page.locator("select[name=day]")).get_by_role("button", name="Show").click()
    page.get_by_role("heading", name=f"{kit.CATEGORY} then and now").wait_for()
    assert page.url.endswith(f"?feature={kit.CATEGORY}&day={kit.key(3)}#distribution")
    assert page.locator(".distribution .bin").count() == 4


@pytest.mark.parametrize(("button", "dialog"), [("Acknowledge", "acknowledge"), ("Close", "close")])
def test_an_action_sends_the_incident_and_the_reason(
    opened: Callable[..., Any], incident: int, button: str, dialog: str
) -> None:
    airflow = Airflow([(200, {})])
    page = opened(PAGE, airflow)
    page.get_by_role("button", name=f"{button} incident {incident}").click()
    form = page.locator(f"#do-{dialog}")
    assert form.locator("select[name=number]").input_value() == str(incident)
    form.locator("textarea[name=reason]").fill("a <b>new</b> route")
    form.locator("[type=submit]").click()
    page.get_by_text("has succeeded").wait_for()
    assert airflow.posted[0]["conf"] == {"number": incident, "action": dialog, "reason": "a <b>new</b> route"}
    assert airflow.posted[0]["dag_run_id"].startswith("manual__")


def test_an_address_cannot_turn_an_acknowledgement_into_a_closing(opened: Callable[..., Any], incident: int) -> None:
    airflow = Airflow([(200, {})])
    page = opened(f"{PAGE}#do-acknowledge?action=close&reason=because&number={incident}", airflow)
    page.locator("#do-acknowledge [type=submit]").click()
    page.get_by_text("has succeeded").wait_for()
    assert airflow.posted[0]["conf"]["action"] == "acknowledge"
