"""The Models page as a person uses it, in headless Chromium inside a real Airflow: look, act, and be refused.

If ``PERENNIAL_SCREENSHOTS`` names a folder, the screenshots are saved there. Those of the README are made this way.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import httpx
import pytest

from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.stack import credentials
from tests.end_to_end import chromium
from tests.end_to_end.chromium import picture
from tests.end_to_end.stack_runner import Api, Running

pytestmark = chromium.MARKS
MODELS = "/plugin/models/perennial/-/models"
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium.started() as made:
        yield made


@pytest.fixture(scope="module")
def page(browser: Any, running: Running) -> Any:
    """A page of `op`, who may act."""
    return chromium.logged_in(browser, running, credentials.OPERATOR, width=1464)  # Airflow's navigation takes 64


def framed(page: Any) -> Any:
    """The document inside of Airflow's page."""
    return page.frame_locator('iframe[title="Models"]')


def frame(page: Any) -> Any:
    """The same as a frame, for scripts."""
    return next(one for one in page.frames if one != page.main_frame)


def opened(page: Any, running: Running, rest: str = "") -> Any:
    """Airflow's page of this address below all models, as from a bookmark; returns the document inside."""
    page.goto("about:blank")
    page.goto(f"{running.stack.airflow_url}{MODELS}{rest}")
    inside = framed(page)
    inside.locator("h1").wait_for()
    return inside


def findings(page: Any) -> list[str]:
    """The serious findings of axe-core about the document inside."""
    source = (files("axe_playwright_python") / "axe.min.js").read_text()
    inside = frame(page)
    inside.evaluate(source)
    violations = inside.evaluate("async () => (await axe.run(document, {iframes: false})).violations")
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
        for one in violations
        if one["impact"] in SERIOUS
    ]


def overflow(page: Any) -> int:
    """By how many pixels the document inside is wider than its window."""
    return int(frame(page).evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def theme(page: Any, chosen: str) -> str:
    """Switch Airflow's theme, as its own button does; returns the background of the document inside."""
    page.evaluate(f"localStorage.setItem('theme', '{chosen}')")
    framed(page).locator(f'html[data-theme="{chosen}"]').wait_for(state="attached")
    return str(frame(page).evaluate("getComputedStyle(document.body).backgroundColor"))


def send(inside: Any, dialog: str, button: str) -> Any:
    """Send the form of an open dialog; returns the sentence about the outcome."""
    form = inside.locator(f"#do-{dialog}")
    form.get_by_role("button", name=button, exact=True).click()
    return form.get_by_role("status")


def until_ended(page: Any, status: Any, seconds: float = 600) -> str:
    """Wait until the dialog says how its run ended."""
    deadline = time.monotonic() + seconds
    while not re.search("has succeeded|has failed|Airflow refused|did not answer", said := status.inner_text()):
        assert time.monotonic() < deadline, said
        page.wait_for_timeout(300)
    return str(said)


def served(running: Running, row: dict[str, Any]) -> tuple[int, float]:
    """The version and the score with which the model server answers."""
    token = credentials.read(running.stack, "serving_token")
    answer = httpx.post(
        f"{running.stack.serving_url}/models/toy/predict",
        json={"rows": [row]},
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=60,
    )
    body = answer.raise_for_status().json()
    return body["version"], body["predictions"][0]["score"]


def test_look_at_the_models(running: Running, page: Any, api: Api) -> None:
    """From the navigation to a model and back, with deep link, reload, both themes, a phone, and the keyboard only."""
    page.get_by_role("link", name="Models", exact=True).first.click()
    inside = framed(page)
    inside.get_by_role("heading", name="Models", exact=True).wait_for()
    page.wait_for_url(f"**{MODELS}")
    inside.get_by_text(re.compile("^Last night: ")).wait_for()
    light, dark = theme(page, "light"), theme(page, "dark")
    assert light != dark
    assert findings(page) == []
    picture(page, "models-dark")
    theme(page, "light")
    assert findings(page) == [] and overflow(page) == 0
    picture(page, "models")

    page.set_viewport_size({"width": 390 + 64, "height": 844})  # Airflow's own navigation takes 64
    assert overflow(page) == 0
    picture(page, "models-phone")
    page.set_viewport_size({"width": 1464, "height": 900})

    # the keyboard only: to the model, into a dialog, and out of it
    inside.locator("h1").click()
    for _ in range(200):
        page.keyboard.press("Tab")
        if frame(page).evaluate("document.activeElement.textContent") == "toy":
            break
    page.keyboard.press("Enter")
    inside.get_by_role("heading", name="toy", exact=True).wait_for()
    page.wait_for_url(f"**{MODELS}/toy")
    for _ in range(200):
        page.keyboard.press("Tab")
        if frame(page).evaluate("document.activeElement.dataset.opens") == "do-night":
            break
    page.keyboard.press("Enter")
    inside.locator("#do-night[open]").wait_for()
    assert findings(page) == []
    page.keyboard.press("Escape")
    assert frame(page).evaluate("document.activeElement.dataset.opens") == "do-night"

    page.reload()
    inside.get_by_role("heading", name="toy", exact=True).wait_for()
    assert findings(page) == [] and overflow(page) == 0
    picture(page, "model")
    theme(page, "dark")
    assert findings(page) == []
    page.set_viewport_size({"width": 390 + 64, "height": 844})
    assert overflow(page) == 0
    picture(page, "model-phone")
    page.set_viewport_size({"width": 1464, "height": 900})
    theme(page, "light")
    mlflow = running.stack.mlflow_url  # it asks for a login, so only the request is looked at
    with (
        page.context.expect_event("request", lambda request: request.url.startswith(mlflow)),
        page.context.expect_page() as other,
    ):
        inside.get_by_role("link", name="MLflow", exact=True).first.click()
    other.value.close()
    with page.context.expect_page() as other:
        inside.get_by_role("link", name="card", exact=True).first.click()
    other.value.get_by_role("heading", name=re.compile("toy, version")).wait_for()
    other.value.close()
    inside.locator("#timeline ~ .scroll a", has_text="run").first.click()
    page.wait_for_url("**/dags/toy_*/runs/**")
    page.go_back()
    inside.get_by_role("heading", name="toy", exact=True).wait_for()


def test_collect_a_quarantined_day_again(
    running: Running, page: Any, scenario: Callable[[str, dict[str, Any]], None]
) -> None:
    day = "2025-06-11"
    scenario(day, {"bad_rows": 3})
    inside = opened(page, running, f"/toy#do-collect?partition={day}")
    assert "has succeeded" in until_ended(page, send(inside, "collect", "Collect a day"))
    inside = opened(page, running, f"/toy/quarantine?day={day}")
    inside.get_by_role("heading", name="3 rows", exact=True).wait_for()
    assert inside.get_by_text("1048").count() >= 3
    assert findings(page) == [] and overflow(page) == 0
    picture(page, "quarantine")
    scenario(day, {})
    inside.get_by_role("link", name=f"Collect {day} again").click()
    inside.locator("#do-collect[open]").wait_for()
    assert inside.locator("#do-collect input[name=partition]").input_value() == day
    status = send(inside, "collect", "Collect a day")
    assert "has succeeded" in until_ended(page, status)
    inside.locator("#do-collect").get_by_role("button", name="Close").click()
    inside = opened(page, running, f"/toy/quarantine?day={day}")
    inside.get_by_text(re.compile("No row of this day is in quarantine|Nothing is in quarantine")).wait_for()


def test_retrain_roll_back_and_lift_the_freeze(running: Running, page: Any, api: Api) -> None:
    """The answers of the model server change with what a person does on the page."""
    ledger = Ledger.default()
    old = ledger.champion("toy")
    assert old is not None
    row = json.loads(BundleStore.default().open("toy", old.digest).read("probe.json"))["rows"][0]
    recipe = ledger.version("toy", old.version)
    assert recipe is not None
    before = served(running, row)
    assert before[0] == old.version

    inside = opened(page, running, "/toy")
    inside.get_by_role("button", name="Run night").click()
    dialog = inside.locator("#do-night")
    dialog.locator("input[name=seed]").fill("29")
    dialog.locator("input[name=note]").fill("from the page")
    for name in dialog.locator("input[name=candidates]").evaluate_all("boxes => boxes.map(box => box.value)"):
        if name not in ("baseline", recipe.candidate):
            dialog.locator(f"input[name=candidates][value={name}]").uncheck()
    picture(page, "run-night")
    status = send(inside, "night", "Run night")
    said = until_ended(page, status)
    assert "has succeeded" in said and "from the page" in said, said
    release = api.xcom("toy_retrain", status.locator("a").inner_text(), "release", key="trigger_run_id")
    assert api.wait("toy_release", release).state == "success"
    after = served(running, row)
    assert after[0] > old.version and after[1] != before[1]

    inside = opened(page, running, "/toy#do-rollback")
    dialog = inside.locator("#do-rollback")
    dialog.locator("select[name=version]").select_option(str(old.version))
    dialog.locator("textarea[name=reason]").fill("wrong <b>scores</b>")
    picture(page, "roll-back")
    said = until_ended(page, send(inside, "rollback", "Roll back"))
    assert "has succeeded" in said and "wrong <b>scores</b>" in said, said
    assert served(running, row) == before
    dialog.get_by_role("button", name="Close").click()  # reloads the page
    inside.get_by_text("Frozen by op since").first.wait_for()
    assert findings(page) == []

    inside.get_by_role("button", name="Lift freeze").click()
    dialog = inside.locator("#do-lift")
    dialog.locator("textarea[name=reason]").fill("fixed")
    assert "has succeeded" in until_ended(page, send(inside, "lift", "Lift freeze"))
    assert ledger.frozen("toy") is None

    inside = opened(page, running, "/toy#do-release")
    dialog = inside.locator("#do-release")
    dialog.locator("select[name=version]").select_option(str(after[0]))
    dialog.locator("textarea[name=reason]").fill("it was right")
    assert "has succeeded" in until_ended(page, send(inside, "release", "Release a version"))
    assert served(running, row) == after
    audit = [(one.actor, one.action, one.version) for one in ledger.history("toy")]
    assert ("op", "rollback", old.version) in audit and ("op", "promote", after[0]) in audit

    inside = opened(page, running, f"/toy/compare?left={old.version}&right={after[0]}")
    inside.get_by_text("log_loss").first.wait_for()
    assert findings(page) == [] and overflow(page) == 0
    picture(page, "compare")


def test_a_viewer_looks_and_each_action_is_refused_in_words(running: Running, browser: Any, api: Api) -> None:
    page = chromium.logged_in(browser, running, credentials.VIEWER)
    inside = opened(page, running, "/toy")
    before = {dag: [run.dag_run_id for run in api.runs(dag)] for dag in ("toy_retrain", "toy_rollback", "toy_release")}
    dialogs = frame(page).evaluate("[...document.querySelectorAll('dialog')].map(one => one.id)")
    assert {"do-night", "do-load", "do-collect", "do-rollback", "do-release"} <= set(dialogs)
    for name in dialogs:
        frame(page).evaluate(f"location.hash = '{name}'")
        dialog = inside.locator(f"#{name}[open]")
        dialog.wait_for()
        for field in dialog.locator("textarea").all():
            field.fill("because")
        for field in dialog.locator("input[type=date][required]").all():
            field.fill("2025-06-11")
        dialog.locator("[type=submit]").click()
        said = until_ended(page, dialog.get_by_role("status"))
        assert said.startswith("Airflow refused: viewer may look at this model, but may not "), said
        dialog.get_by_role("button", name="Close", exact=True).click()
    for dag, runs in before.items():
        assert [run.dag_run_id for run in api.runs(dag)][-len(runs) :] == runs, dag
    page.close()
