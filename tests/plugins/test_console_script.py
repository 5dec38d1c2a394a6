"""The script of the Models pages in Chromium: what a dialog sends, what it says about each answer, and addresses.

The pages are those of the real app over a real database and ledger. Only Airflow's own API is replaced, because an
API that fails, or that is away, is what is tried here; `tests/end_to_end/test_models_page.py` has a real one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from perennial.console import navigation
from perennial.console.app import PREFIX

from tests.end_to_end.chromium import CHROMIUM, started
from tests.plugins.console_kit import HOSTILE, Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("PERENNIAL_REQUIRE_BROWSER"), reason="no chromium on this machine"
    ),
]
ORIGIN = "http://airflow"
PAGE = f"{ORIGIN}{PREFIX}{navigation.MODELS}/{HOSTILE}"
Answer = tuple[int, object]


@dataclass
class Airflow:
    """Airflow's API: gives its answers one after the other, the last one for ever; ``None``: it is away."""

    answers: list[Answer | None]
    posted: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, route: Any) -> None:
        if route.request.method == "GET":  # the dialog follows its run
            route.fulfill(status=200, json={"state": "success", "note": "PROMOTED v4: it is better"})
            return
        self.posted.append(json.loads(route.request.post_data))
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if found is None:
            route.abort()
        else:
            route.fulfill(status=found[0], json=found[1])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with started() as made:
        yield made


@pytest.fixture
def opened(chromium: Any, admin: Browser, hostile: None) -> Iterator[Callable[..., Any]]:
    """Opens the page of the model, with these answers of Airflow's API, in a window of this width."""
    contexts = []
    another_thread = ThreadPoolExecutor(1)  # Playwright has an event loop in this one

    def open_page(airflow: Airflow, rest: str = "", width: int = 1400) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": 844})
        contexts.append(context)
        page = context.new_page()

        def ours(route: Any) -> None:
            found = another_thread.submit(admin.get, route.request.url.removeprefix(ORIGIN)).result()
            route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

        page.route(f"{ORIGIN}/**", ours)
        page.route(f"{ORIGIN}/api/v2/**", airflow.answer)
        page.goto(f"{PAGE}{rest}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    another_thread.shutdown()


def send(page: Any, dialog: str) -> str:
    """Send the form of a dialog; return what the dialog says once Airflow has answered."""
    page.locator(f"#do-{dialog} [type=submit]").click()
    status = page.locator(f"#do-{dialog} [role=status]")
    page.wait_for_function(
        "place => place.textContent && place.textContent !== 'Asking Airflow…'", arg=status.element_handle()
    )
    return str(status.inner_text())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {"detail": "Not authenticated"}), "Your Airflow session has expired."),
        ((403, {"detail": "Invalid JWT token"}), "Your Airflow session has expired."),
        ((403, {"detail": "Forbidden"}), "Airflow refused: ada may look at this model, but may not start a run of"),
        ((404, {"detail": "Dag with dag_id: 'x' not found"}), "Airflow does not know what is needed to start a run"),
        ((400, {"detail": "wrong <b>seed</b>"}), "(400): wrong <b>seed</b>. Nothing has changed."),
        ((422, {"detail": [{"loc": ["body", "conf"], "msg": "Field required"}]}), "(422): conf: Field required."),
        (
            (500, {"detail": {"reason": "Database error", "message": "look for x"}}),
            "(500): look for x. It may have arr",
        ),
        ((503, None), "(503): no reason given. It may have arrived. Sending it again is safe"),
        (None, "Airflow did not answer the request to start a run of hostile_retrain. It may have arrived."),
    ],
)
def test_each_answer_is_a_sentence_and_the_form_can_be_sent_again(
    opened: Callable[..., Any], answer: Answer | None, said: str
) -> None:
    airflow = Airflow([answer])
    page = opened(airflow, "#do-night")
    assert said in send(page, "night")
    assert page.locator("#do-night [type=submit]").is_enabled()
    assert len(airflow.posted) == 1


def test_a_request_that_is_sent_again_starts_no_second_run(opened: Callable[..., Any]) -> None:
    """The first one arrived, and its answer was lost."""
    airflow = Airflow([None, (409, {"detail": {"reason": "Unique constraint violation"}})])
    page = opened(airflow, "#do-night")
    assert "did not answer" in send(page, "night")
    page.locator("#do-night [type=submit]").click()
    page.get_by_text("has succeeded. PROMOTED v4: it is better").wait_for()
    first, second = airflow.posted
    assert first["dag_run_id"] == second["dag_run_id"] and first["dag_run_id"].startswith("manual__")
    page.locator("#do-night input[name=note]").press("Enter")
    assert len(airflow.posted) == 2, "this dialog has done its work"


def test_a_double_click_starts_one_run(opened: Callable[..., Any]) -> None:
    airflow = Airflow([(200, {})])
    page = opened(airflow, "#do-night")
    page.locator("#do-night [type=submit]").dblclick()
    page.get_by_text("has succeeded").wait_for()
    assert len(airflow.posted) == 1


def test_a_retry_of_a_run_that_is_no_longer_failed_says_so(opened: Callable[..., Any]) -> None:
    page = opened(Airflow([(200, {"task_instances": [], "total_entries": 0})]), "#do-retry")
    assert send(page, "retry") == "No task of this run is failed any more, so nothing was started."


def test_no_candidate_at_all_is_refused(opened: Callable[..., Any]) -> None:
    airflow = Airflow([(200, {})])
    page = opened(airflow, "#do-night")
    boxes = page.locator("#do-night input[name=candidates]")
    assert boxes.count() > 1
    for box in boxes.all():
        box.uncheck()
    assert send(page, "night") == "Choose at least one candidate."
    boxes.first.check()
    page.locator("#do-night [type=submit]").click()
    page.get_by_text("has succeeded").wait_for()
    assert [len(posted["conf"]["candidates"]) for posted in airflow.posted] == [1]


def test_an_address_fills_in_fields_and_never_what_a_dialog_does(opened: Callable[..., Any]) -> None:
    """A link from elsewhere must not turn the end of a freeze into a rollback."""
    airflow = Airflow([(200, {})])
    page = opened(airflow, "#do-lift?action=freeze&reason=it+is+fixed")
    send(page, "lift")
    assert airflow.posted[0]["conf"] == {"action": "lift the freeze", "reason": "it is fixed"}


def test_an_address_of_an_action_that_is_not_possible_says_why(opened: Callable[..., Any], home: Path) -> None:
    shutil.rmtree(home / HOSTILE)
    page = opened(Airflow([None]), "#do-rollback")
    page.get_by_text("A rollback is not possible, because the folder of the model was removed.").wait_for()
    assert page.get_by_text("A rollback is not possible").is_visible()
    assert not page.get_by_text("No night can be run").is_visible()


def test_long_words_do_not_widen_a_page_on_a_phone(opened: Callable[..., Any]) -> None:
    page = opened(Airflow([None]), width=390)
    page.evaluate(
        "() => { const long = 'a'.repeat(300);"
        " for (const one of document.querySelectorAll('h1, .title .quiet, .why, .todo, td.sentence, .alert, .tag'))"
        "   one.append(long); }"
    )
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    for dialog in page.locator("dialog").all():
        name = dialog.get_attribute("id")
        page.evaluate(f"location.hash = '{name}'")
        page.locator(f"#{name}[open]").wait_for()
        box = dialog.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390, name
        assert dialog.evaluate("one => one.scrollWidth - one.clientWidth") <= 0, name
        page.keyboard.press("Escape")
        page.wait_for_function("() => location.hash === ''")  # the dialog is closed, and its address forgotten


@pytest.mark.parametrize("rest", ["", "/quarantine"])
def test_long_options_do_not_widen_a_page_on_a_phone(opened: Callable[..., Any], rest: str) -> None:
    page = opened(Airflow([None]), rest, width=390)
    assert page.locator("option").count() > 0
    page.evaluate("() => { for (const one of document.querySelectorAll('option')) one.append('a'.repeat(200)); }")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
