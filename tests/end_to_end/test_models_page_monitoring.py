"""Incidents on the Models page as a person handles them, in headless Chromium inside a real Airflow.

If ``PERENNIAL_SCREENSHOTS`` names a folder, the screenshots are saved there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from include.registry.incident_rows import IncidentKind, IncidentRow, Seen, Severity
from include.registry.incidents import Incidents, Scope
from include.stack import credentials
from tests.end_to_end import chromium
from tests.end_to_end.chromium import picture
from tests.end_to_end.stack_runner import Api, Running
from tests.end_to_end.test_models_page import findings, opened, overflow, send, theme, until_ended

pytestmark = chromium.MARKS
CAUSE = "tests:the page"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium.started() as made:
        yield made


@pytest.fixture(scope="module")
def page(browser: Any, running: Running) -> Any:
    """A page of `op`, who may act."""
    return chromium.logged_in(browser, running, credentials.OPERATOR, width=1464)


@pytest.fixture
def incident(running: Running) -> Iterator[IncidentRow]:
    """An incident of the toy that no other look finds; it is over after the test."""
    seen = Seen(
        model="toy", kind=IncidentKind.SERVICE, cause=CAUSE, severity=Severity.CRITICAL, since="2025-06-01",
        what="The page is tried.", how_bad="By 0.03 <b>log loss</b>.", todo="Acknowledge it.",
    )  # fmt: skip
    scope = Scope("toy", frozenset({IncidentKind.SERVICE}), CAUSE)
    incidents = Incidents.default()
    yield incidents.observe(scope, [seen], datetime.now(UTC), "the page").opened[0]
    incidents.observe(scope, [], datetime.now(UTC), "the end")


def test_acknowledge_an_incident_and_close_it(running: Running, page: Any, api: Api, incident: IncidentRow) -> None:
    number = incident.number
    inside = opened(page, running, "/toy#incidents")
    inside.get_by_text("The page is tried.").first.wait_for()
    assert findings(page) == [] and overflow(page) == 0
    picture(page, "incidents")
    theme(page, "dark")
    assert findings(page) == []
    theme(page, "light")

    inside.get_by_role("button", name=f"Acknowledge incident {number}").click()
    dialog = inside.locator("#do-acknowledge")
    assert dialog.locator("select[name=number]").input_value() == str(number)
    dialog.locator("textarea[name=reason]").fill("it is <b>mine</b>")
    picture(page, "acknowledge")
    said = until_ended(page, send(inside, "acknowledge", "Acknowledge incident"))
    assert "has succeeded" in said and "it is <b>mine</b>" in said, said
    (row,) = (one for one in Incidents.default().open("toy") if one.number == number)
    assert (row.state, row.acknowledged_by, row.reason) == ("acknowledged", "op", "it is <b>mine</b>")
    dialog.get_by_role("button", name="Close", exact=True).click()  # reloads the page
    inside.get_by_role("cell").filter(has_text="acknowledged by op").wait_for()

    inside.get_by_role("button", name=f"Close incident {number}").click()
    dialog = inside.locator("#do-close")
    dialog.locator("textarea[name=reason]").fill("it was a test")
    assert "has succeeded" in until_ended(page, send(inside, "close", "Close incident"))
    (row,) = (one for one in Incidents.default().of("toy") if one.number == number)
    assert (row.state, row.closed_by) == ("closed", "op")


def test_a_viewer_may_not_close_an_incident(running: Running, browser: Any, incident: IncidentRow) -> None:
    page = chromium.logged_in(browser, running, credentials.VIEWER)
    inside = opened(page, running, f"/toy#do-close?number={incident.number}&reason=because")
    said = until_ended(page, send(inside, "close", "Close incident"))
    assert said.startswith("Airflow refused: viewer may look at this model, but may not start a run of"), said
    assert any(one.number == incident.number for one in Incidents.default().open("toy"))
    page.close()
