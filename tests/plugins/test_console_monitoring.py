"""What a monitor has seen, on the Models pages: shown where it belongs, escaped, and said if it is not known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from perennial.console import navigation
from perennial.console.app import PREFIX

from include.data.monitoring import Measured
from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.registry.incidents import Incidents, Scope
from include.settings import Settings
from include.statistics.reference import Reference
from tests.overview import watched_kit as kit
from tests.plugins.airflow_database import AirflowDatabase
from tests.plugins.console_kit import HOSTILE, SCRIPT, TOY, Browser
from tests.plugins.in_process import dag, run_task

PAGES = f"{PREFIX}{navigation.MODELS}"
PAGE = f"{PAGES}/{HOSTILE}"
SAID = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"
MONITOR = frozenset({IncidentKind.DATA, IncidentKind.DRIFT, IncidentKind.STALE})
NAMES = {kit.NUMBER: f"{SCRIPT}number", kit.CATEGORY: f"{SCRIPT}category"}


@pytest.fixture(scope="module")
def reference() -> Reference:
    return kit.reference(names=NAMES)


@pytest.fixture(scope="module")
def rows(reference: Reference) -> list[Measured]:
    return kit.history(reference, days=8, drifting=3)


@pytest.fixture
def measured(hostile: None, reference: Reference, rows: list[Measured]) -> Path:
    """Eight days of the hostile model, with `SCRIPT` in every name and sentence, and the reference."""
    day = kit.key()
    more = [
        kit.scored(day, 0.7, 14, slice=f"{SCRIPT}=b"),
        kit.counted(day, SCRIPT, 3.0, 1.0, SCRIPT),
        kit.stale(day, sentence=f"{SCRIPT} is stale."),
    ]
    root = Settings.from_environment().lake / HOSTILE
    kit.write(root, [*(row for row in rows if row.kind != "staleness"), *more])
    kit.keep(reference, root, HOSTILE)
    return root


@pytest.fixture
def look() -> Callable[..., tuple[int, ...]]:
    """A look of the monitor that finds such incidents; returns their numbers."""

    def found(*severities: Severity, model: str = HOSTILE, kind: IncidentKind = IncidentKind.STALE) -> tuple[int, ...]:
        seen = [
            Seen(
                model=model, kind=kind, cause=f"c{n}", severity=severity, since="2026-05-06", what=f"{SCRIPT} what {n}",
                how_bad=f"{SCRIPT} bad", done=f"{SCRIPT} done", todo=f"{SCRIPT} todo", page=f"/perennial/{SCRIPT}",
            )
            for n, severity in enumerate(severities)
        ]  # fmt: skip
        scope = Scope(model, MONITOR | {kind})
        return tuple(row.number for row in Incidents.default().observe(scope, seen, datetime.now(UTC), "run").opened)

    return found


def part(page: str, heading: str) -> str:
    """What stands below a heading of a page."""
    return page.split(f'<h2 id="{heading}">')[1].split("<h2 ")[0]


def test_every_value_is_shown_and_escaped(admin: Browser, measured: Path, look: Callable[..., tuple[int, ...]]) -> None:
    look(Severity.CRITICAL, Severity.WARNING)
    answer = admin.get(PAGE)
    page = answer.text.replace("<wbr>", "")
    assert answer.status_code == 200 and SCRIPT not in page and "<script>" not in page
    assert f"<b>{SAID} what 0</b>" in part(page, "incidents") and f"{SAID} bad" in part(page, "incidents")
    performance = part(page, "performance")
    assert f"{SAID} is stale." in performance and f'<th scope="row">{SAID} = b</th>' in performance
    assert f"{SAID}number" in part(page, "drift") and f"{SAID}number then and now</h2>" in page
    counters = part(page, "counters")
    assert f'<th scope="row">{SAID}</th><td>{SAID}</td><td class="n">3</td><td class="n">at most 1</td>' in counters
    assert "BEYOND LIMIT" in counters
    every = admin.get(PAGES).text
    assert SCRIPT not in every and f'<p class="why">{SAID} what 0. 1 more incident open.</p>' in every


def test_the_panels_of_a_model_that_is_monitored(admin: Browser, measured: Path) -> None:
    page = admin.get(PAGE).text
    performance, drift, then = part(page, "performance"), part(page, "drift"), part(page, "distribution")
    assert performance.count('class="performance"') == 2, "log_loss, and roc_auc on demand"
    assert "Figures of log_loss" in performance and "1 other metric" in performance
    assert drift.count('class="cell beyond"') >= 6 and 'fill="url(#hatch)"' in drift
    assert 'aria-label="Drift by feature and day"' in drift and "Figures of the newest day" in drift
    assert 'class="then"' in then and 'class="now"' in then and "the reference of v1" in then
    assert f"now: {kit.key()}" in then and "Figures of" in then
    assert "unknown" in part(page, "counters"), "a counter that could not be measured is not healthy"


def test_another_feature_and_another_day_are_shown_on_demand(admin: Browser, measured: Path) -> None:
    page = admin.get(f"{PAGE}?feature={kit.STEADY}&day={kit.key(5)}").text
    assert f'<h2 id="distribution">{kit.STEADY} then and now</h2>' in page and f"now: {kit.key(5)}" in page
    assert f'<option value="{kit.STEADY}" selected>' in page and f"<option selected>{kit.key(5)}</option>" in page
    other = admin.get(f"{PAGE}?feature=unheard_of&day=2020-01-01").text
    assert f"now: {kit.key()}" in other
    assert "This address is not valid" in admin.get(f"{PAGE}?day=today").text


def test_a_model_that_was_never_monitored_says_so_everywhere(admin: Browser, hostile: None) -> None:
    page = admin.get(PAGE).text
    assert f"Not monitored yet: the first run of {HOSTILE}_monitor measures" in part(page, "performance")
    assert "No incident has been opened." in page and "Not monitored yet." in admin.get(PAGES).text
    assert 'class="tag health healthy"' not in page + admin.get(PAGES).text


def test_a_damaged_table_and_a_missing_reference_do_not_fail_the_page(admin: Browser, measured: Path) -> None:
    for file in measured.glob("references/*"):
        file.unlink()
    page = admin.get(PAGE)
    assert page.status_code == 200 and "The reference of v1 cannot be read:" in page.text
    for file in measured.glob("monitoring/_delta_log/*.json"):
        file.write_text("{")
    page = admin.get(PAGE)
    assert page.status_code == 200 and "What was measured cannot be read:" in page.text and HOSTILE in page.text


def test_a_ledger_that_is_down_leaves_health_and_incidents_unknown(
    admin: Browser, measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", "postgresql://ledger:a-password@127.0.0.1:9/perennial")
    page = admin.get(PAGE)
    assert page.status_code == 200 and 'class="tag health unknown"' in page.text
    assert "Not known, because the ledger does not answer." in part(page.text, "incidents")
    assert "The reference of v1 cannot be read:" in page.text and 'class="performance"' in page.text
    assert "No incident" not in page.text and "a-password" not in page.text


def test_the_list_shows_the_word_and_the_reason_of_each_model(
    admin: Browser, hostile: None, home: Path, database: AirflowDatabase, look: Callable[..., tuple[int, ...]]
) -> None:
    (home / "toy").symlink_to(TOY)
    database.add_models("toy")
    look(Severity.WARNING, kind=IncidentKind.DATA)
    look(model="toy")
    page = admin.get(PAGES).text
    assert '<a class="tag health damaged-data"' in page and '<a class="tag health healthy"' in page
    assert f"No open incident; monitored on {datetime.now(UTC):%Y-%m-%d}." in page
    look(Severity.CRITICAL, model="", kind=IncidentKind.DISK)
    page = admin.get(PAGES).text
    assert f"{SAID} what 0. {SAID} todo" in page and "/dags/perennial_incidents" in page


def test_an_incident_can_be_acknowledged_and_closed_from_its_dialog(
    admin: Browser, hostile: None, look: Callable[..., tuple[int, ...]], database: AirflowDatabase
) -> None:
    first, second = look(Severity.CRITICAL, Severity.WARNING)
    page = admin.get(PAGE).text
    assert f'data-opens="do-acknowledge" data-values="number={first}"' in page
    assert page.count('data-call="run" data-dag="perennial_incidents"') == 2
    dialog = page.split('<dialog id="do-acknowledge"')[1].split("</dialog>")[0]
    assert '<input type="hidden" name="action" value="acknowledge">' in dialog
    assert f'<option value="{first}">' in dialog and f'<option value="{second}">' in dialog
    Incidents.default().acknowledge(first, SCRIPT, SCRIPT)
    page = admin.get(PAGE).text
    dialog = page.split('<dialog id="do-acknowledge"')[1].split("</dialog>")[0]
    assert f'<option value="{first}">' not in dialog and f"acknowledged by {SAID}" in page
    assert "incident acknowledged" in part(page, "timeline")
    for number in (first, second):
        Incidents.default().close(number, SCRIPT, SCRIPT)
    page = admin.get(PAGE).text
    assert "No incident is open." in page and "2 closed incidents" in page and '<dialog id="do-close"' not in page
    assert '<p class="alert info" id="no-close" role="status" hidden>No incident is open.</p>' in page
    database.add_dags(["perennial_incidents"], paused=True)
    assert "perennial_incidents</a> is paused" in admin.get(PAGE).text


def test_the_document_of_a_model_has_the_same_facts(
    admin: Browser, measured: Path, look: Callable[..., tuple[int, ...]]
) -> None:
    (number,) = look(Severity.CRITICAL)
    found = admin.get(f"{PREFIX}/api/models/{HOSTILE}").json()
    assert found["model"]["health"]["state"] == "stale" and found["incidents"][0]["number"] == number
    assert found["monitored"]["distribution"]["feature"] == NAMES[kit.NUMBER]
    assert found["monitored"]["performance"][0]["windows"][-1]["promise"] == 0.5
    (one,) = (row for row in admin.get(f"{PREFIX}/api/models").json()["models"] if row["name"] == HOSTILE)
    assert one["health"] == found["model"]["health"]


# -- the task


def run(action: str, number: int, patch: pytest.MonkeyPatch) -> Any:
    asked = {"number": number, "action": action, "reason": "a new route"}
    return run_task(dag("perennial_incidents"), "incident", asked, patch=patch)


def test_the_task_records_who_did_what_and_why(
    home: Path, look: Callable[..., tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (number,) = look(Severity.CRITICAL)
    ended = run("acknowledge", number, monkeypatch)
    assert ended.state == "success", ended.error
    assert ended.note == f"ACKNOWLEDGED: incident {number} of {HOSTILE} is acknowledged by ada. a new route"
    assert run("close", number, monkeypatch).note.startswith(f"CLOSED: incident {number} of {HOSTILE} is closed by ada")
    assert run("acknowledge", number, monkeypatch).note.startswith("NOTHING TO acknowledge: incident")
    (row,) = Incidents.default().of(HOSTILE)
    assert (row.state, row.acknowledged_by, row.closed_by, row.reason) == ("closed", "ada", "ada", "a new route")


def test_a_number_that_no_incident_has_fails_the_task_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run("close", 99, monkeypatch)
    assert ended.state == "failed" and ended.note.startswith("FAILED in `incident`: there is no incident 99")


def test_the_short_address_of_a_message_is_the_page_of_the_model(
    admin: Browser, hostile: None, look: Callable[..., tuple[int, ...]]
) -> None:
    look(Severity.WARNING)
    page = admin.get(f"{PREFIX}/{HOSTILE}")
    assert page.status_code == 200 and f"<h1>{HOSTILE}</h1>" in page.text and "Where to look" in page.text
    seen = Seen(
        model=HOSTILE, kind=IncidentKind.DATA, cause="mine", severity=Severity.WARNING, since="2026-05-06", what="x",
        page=f"{PREFIX}/{HOSTILE}",
    )  # fmt: skip
    Incidents.default().observe(Scope(HOSTILE, MONITOR), [seen], datetime.now(UTC), "run")
    assert "Where to look" not in admin.get(PAGE).text, "it is this page"


def test_an_incident_links_only_to_addresses_of_this_server() -> None:
    from perennial.console import addresses

    assert addresses.within("/perennial/toy") == f"{addresses.airflow()}/perennial/toy"
    for page in ("", "https://elsewhere.org", "//elsewhere.org", "/\\elsewhere.org", "javascript:alert(1)"):
        assert addresses.within(page) is None, page
