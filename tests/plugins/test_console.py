"""The Models pages in Airflow's web server: who may see what, what is escaped, and what is shown when a part is down.

The app is asked as Airflow mounts it, with Airflow's own login, over a real database of Airflow and a real ledger.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from perennial.console import navigation
from perennial.console.app import PREFIX

from tests.plugins.airflow_database import AirflowDatabase
from tests.plugins.console_kit import BROKEN, HOSTILE, SCRIPT, TOY, YESTERDAY, Browser, hostile_model

PAGES = f"{PREFIX}{navigation.MODELS}"
HEAD = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-ancestors 'self'"
    ),
    "x-content-type-options": "nosniff",
}


PARAMETERS = {"model": HOSTILE, "file": "console.css", "partition": YESTERDAY, "version": "1"}
START = {f"{PREFIX}/", f"{PREFIX}/-/"}
"""Addresses without a page, which lead to the page of all models."""
QUERIES = {"compare": "?left=1&right=2", "quarantine": f"?day={YESTERDAY}"}


def routes(app: Any) -> list[tuple[str, frozenset[str]]]:
    """Every route of the app: an address with values for its parameters, and its methods."""
    (mount,) = app.router.routes[-1:]
    found = []
    for route in mount.app.routes:
        path = re.sub(r"{(\w+)}", lambda name: PARAMETERS[name[1]], route.path)
        query = QUERIES.get(route.path.rpartition("/")[2], "")
        found.append((f"{PREFIX}{path}{query}", frozenset(route.methods)))
    return found


def test_every_route_only_reads_and_asks_for_a_login(app: Any) -> None:
    nobody = Browser(app, None, logged_in=False)
    found = routes(app)
    assert len(found) >= 8
    for path, methods in found:
        assert methods <= {"GET", "HEAD"}, path
        answer = nobody.get(path)
        assert answer.status_code == 401, path
        assert answer.headers.items() >= HEAD.items(), path
        if "/api/" in path:
            assert answer.json() == {"detail": "Not authenticated"}
        else:
            assert "You are not logged in" in answer.text and 'href="/auth/login?next=' in answer.text, path


def test_every_route_about_a_model_asks_for_the_permission_on_its_dags(app: Any, hostile: None) -> None:
    other = Browser(app, None)
    for path, _ in routes(app):
        answer = other.get(path)
        about_a_model = HOSTILE in path
        assert answer.status_code == (403 if about_a_model else 307 if path in START else 200), path
        assert SCRIPT not in answer.text
        if about_a_model:
            assert ("You may not" if "/api/" in path else "You may not see this") in answer.text, path
        elif "models" in path:
            assert HOSTILE not in answer.text and BROKEN not in answer.text, path


def test_no_page_contains_a_script_that_a_value_brought(app: Any, admin: Browser, hostile: None) -> None:
    """Only the card and the validation result are documents of their own; their policy allows no script at all."""
    shown = 0
    for path, _ in routes(app):
        answer = admin.get(path)
        if "/card/" in path or "/validation/" in path:
            assert "script-src" not in answer.headers["content-security-policy"]
            continue
        if path in START:
            continue
        assert answer.status_code == 200, (path, answer.text)
        if answer.headers["content-type"].startswith("text/html"):
            assert answer.headers.items() >= HEAD.items(), path
            assert SCRIPT not in answer.text, path
            assert "<script>" not in answer.text and "alert('x')" not in answer.text, path
            shown += answer.text.count("&lt;script&gt;")
    assert shown > 40


def test_each_value_is_shown_where_it_belongs(admin: Browser, hostile: None) -> None:
    """A value that is left out is escaped as well, so the pages are searched for each of them."""
    one = admin.get(f"{PAGES}/{HOSTILE}").text
    said = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"
    broken_up = one.replace("<wbr>", "").replace(' role="cell"', "").replace(' role="rowheader"', "")
    for where in (
        f"owner {said}",
        f"<p>{said} whether",  # the description
        f">{said}</a></p>",  # a tag
        f'<b>rolled back to v2</b></td>\n<td class="sentence" colspan="3">{said}: {said}',  # actor and reason
        f"Frozen by {said} since",
        f'<td>{said}</td><td class="n">{said}</td>',  # name and value of a check
        f"{said} = {said}</th>",  # a slice
        f'<td class="sentence">{said}</td>',  # why a day was rejected
    ):
        assert where in broken_up, where
    every = admin.get(PAGES).text
    assert every.index(BROKEN) and "model.py:" in every
    rows = admin.get(f"{PAGES}/{HOSTILE}/quarantine?day={YESTERDAY}").text
    assert f"row 0 {said}" in rows and f"<code>{said}</code>" in rows and "<em>missing</em>" in rows


def test_rows_in_quarantine_by_page_and_by_expectation(admin: Browser, hostile: None) -> None:
    first = admin.get(f"{PAGES}/{HOSTILE}/quarantine").text  # the newest day
    assert "<h2>60 rows</h2>" in first and "Page 1 of 2" in first and 'rel="prev"' not in first
    last = admin.get(f"{PAGES}/{HOSTILE}/quarantine?page=2").text
    assert "row 59 " in last and "row 49 " not in last and 'rel="next"' not in last
    assert admin.get(f"{PAGES}/{HOSTILE}/quarantine?page=99").text == last
    some = admin.get(f"{PAGES}/{HOSTILE}/quarantine?expectation=values+of+x+between+0+and+5").text
    assert "<h2>20 rows that failed: values of x between 0 and 5</h2>" in some and "row 1 " not in some
    assert f"#do-collect?partition={YESTERDAY}" in some
    none = admin.get(f"{PAGES}/{HOSTILE}/quarantine?day=2025-01-01").text
    assert "No row of this day is in quarantine." in none


def test_the_table_is_filtered_by_name_owner_and_tag(
    admin: Browser, hostile: None, home: Path, database: AirflowDatabase
) -> None:
    (home / "toy").symlink_to(TOY)
    database.add_models("toy")
    every = admin.get(PAGES).text
    assert all(f"{PAGES}/{name}" in every for name in (HOSTILE, BROKEN, "toy"))
    for query, shown in (
        ("name=TO", {"toy"}),
        ("owner=tests", {"toy"}),
        ("tag=test", {"toy"}),
        ("name=nothing", set()),
    ):
        page = admin.get(f"{PAGES}?{query}").text
        assert {name for name in (HOSTILE, BROKEN, "toy") if f"{PAGES}/{name}" in page} == shown, query
        assert {one["name"] for one in admin.get(f"{PREFIX}/api/models?{query}").json()["models"]} == shown
    assert "No model fits this filter" in admin.get(f"{PAGES}?name=nothing").text


def test_an_unknown_model_gets_the_nearest_name(admin: Browser, hostile: None) -> None:
    answer = admin.get(f"{PAGES}/hostil")
    assert answer.status_code == 404
    assert "There is no model hostil. Did you mean hostile?" in answer.text
    assert admin.get(f"{PAGES}/{HOSTILE}/compare?left=1&right=99").status_code == 404
    assert "This address is not valid" in admin.get(f"{PAGES}/{HOSTILE}?version=0").text


def test_the_number_of_queries_does_not_grow_with_the_models(
    admin: Browser, hostile: None, home: Path, database: AirflowDatabase
) -> None:
    with database.counted() as few:
        assert admin.get(PAGES).status_code == 200
    for n in range(5):
        hostile_model(home / f"more{n}", TOY)
        (home / f"more{n}" / HOSTILE).rename(home / f"another_{n}")
        (home / f"more{n}").rmdir()
        model = home / f"another_{n}" / "model.py"
        model.write_text(model.read_text().replace(f'"{HOSTILE}"', f'"another_{n}"'))
        database.add_models(f"another_{n}")
    with database.counted() as many:
        assert "another_4" in admin.get(PAGES).text
    assert len(many) == len(few) < 15, many


# -- what is shown when something is missing or down


def test_without_a_model_the_page_says_how_to_make_one(admin: Browser) -> None:
    page = admin.get(PAGES)
    assert page.status_code == 200
    assert "There is no model yet" in page.text and "make new-model" in page.text


def test_a_broken_folder_is_named_with_its_line_and_can_be_rolled_back_only(admin: Browser, hostile: None) -> None:
    page = admin.get(f"{PAGES}/{BROKEN}").text
    assert "The folder does not load." in page and "model.py" in page
    assert "Run night" not in page and "Collect a day" not in page


def test_a_failed_night_names_its_task_and_can_be_retried(admin: Browser, hostile: None) -> None:
    page = admin.get(f"{PAGES}/{HOSTILE}").text
    assert "FAILED in package" in page
    assert f'data-call="retry" data-dag="{HOSTILE}_retrain" data-run="scheduled__&lt;script&gt;' in page


def test_a_server_that_is_down_is_said_and_the_rest_is_shown(admin: Browser, hostile: None) -> None:
    page = admin.get(PAGES).text
    assert "The model server does not answer" in page and HOSTILE in page


def test_mlflow_that_is_down_is_said_and_the_rest_is_shown(
    admin: Browser, hostile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "MLflow at" not in admin.get(PAGES).text
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for path in (PAGES, f"{PAGES}/{HOSTILE}"):
        page = admin.get(path)
        assert page.status_code == 200
        assert "MLflow at http://127.0.0.1:9 does not answer" in page.text and HOSTILE in page.text


def test_a_ledger_that_is_down_is_said_and_the_rest_is_shown(
    admin: Browser, hostile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "postgresql://ledger:a-password@127.0.0.1:9/perennial"
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", secret)
    for path in (PAGES, f"{PAGES}/{HOSTILE}"):
        page = admin.get(path)
        assert page.status_code == 200, page.text
        assert "ledger" in page.text and "does not answer" in page.text and HOSTILE in page.text
        assert "a-password" not in page.text
    answer = admin.get(f"{PAGES}/{HOSTILE}/compare?left=1&right=2")
    assert answer.status_code == 503 and "A service does not answer" in answer.text
    assert admin.get(f"{PREFIX}/api/models").status_code == 200


def test_a_paused_dag_is_named(admin: Browser, home: Path, database: AirflowDatabase) -> None:
    (home / "toy").symlink_to(TOY)
    database.add_dags(["toy_retrain"], paused=True)
    assert "is paused in Airflow" in admin.get(f"{PAGES}/toy").text


# -- Airflow's runs


def test_runs_of_airflow_include_back_fills_and_name_the_failed_tasks(home: Path, database: AirflowDatabase) -> None:
    from perennial.console import runs

    now = datetime.now(UTC)
    database.add_models("toy")
    database.add_dags(["foreign_etl", "toy_monitor"])
    database.add_run("toy_retrain", "one", "failed", note="FAILED", failed=["train", "train", "package"][1:])
    database.add_run("toy_retrain", "old", run_after=now - timedelta(days=20))
    database.add_run("toy_collect", "good", "success", partition_key="2026-05-01")
    database.add_run("toy_collect", "bad", "failed", run_type="backfill", partition_key="2026-05-02")
    database.add_run("toy_collect", "by hand", "running", run_type="manual", conf={"partition": "2026-05-03"})
    database.add_run("foreign_etl", "theirs", "failed")
    found = runs.read({"toy_retrain", "toy_collect", "foreign_etl"}, now)
    assert found is not None
    rows = {row.run_id: row for row in found.rows}
    assert set(rows) == {"one", "bad", "by hand"}
    assert rows["one"].failed_tasks == ("train", "package") and rows["one"].note == "FAILED"
    assert (rows["bad"].day, rows["bad"].run_type) == ("2026-05-02", "backfill")
    assert rows["by hand"].day == "2026-05-03"
    assert found.since == now - runs.KEPT and found.paused == frozenset()
    assert found.partial == {"toy"}, "without toy_release, a release can be under way"
    whole = runs.read({"toy_retrain", "toy_release"}, now)
    assert whole is not None and (whole.partial, whole.first_seen) == (frozenset(), {})
    database.add_version("toy_retrain", now - timedelta(days=3))
    seen = runs.read({"toy_retrain", "toy_release"}, now)
    assert seen is not None and seen.first_seen == {"toy": now - timedelta(days=3)}


def test_the_session_for_airflows_tables_cannot_write(home: Path, database: AirflowDatabase) -> None:
    from perennial.console.access import metadata
    from sqlalchemy import text
    from sqlalchemy.exc import InternalError

    with pytest.raises(InternalError, match="read-only"), metadata() as session:
        session.execute(text("DELETE FROM dag_run"))


# -- the entry in Airflow's navigation


def test_the_entry_is_shown_by_airflow_and_follows_its_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.org/airflow/")
    (view,) = navigation.external_views()
    shown = ExternalViewResponse.model_validate(view)
    assert shown.href == "/airflow/perennial/-/models"
    assert (shown.destination, shown.nav_top_level, shown.url_route) == ("nav", True, "models")
    assert (shown.icon or "").startswith("data:image/svg+xml,")


@pytest.mark.parametrize("path", sorted(START))
def test_an_address_without_a_page_leads_to_the_models(admin: Browser, path: str) -> None:
    answer = admin.get(path)
    assert answer.status_code == 307 and answer.headers["location"] == f"/plugin/{navigation.ROUTE}"


def test_no_model_can_take_the_address_of_a_page() -> None:
    """Names begin with a letter, and addresses of pages with a segment that is none."""
    assert navigation.MODELS.startswith("/-/")
    assert not re.fullmatch(r"[a-z][a-z0-9_]{1,49}", "-")
