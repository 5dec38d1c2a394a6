"""What the Models pages say and offer in unusual states: a removed folder, a first night to come, few permissions."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from perennial.console import navigation
from perennial.console.access import Reader
from perennial.console.app import PREFIX

from include.registry.ledger import Ledger
from tests.plugins.airflow_database import AirflowDatabase
from tests.plugins.console_kit import BROKEN, HOSTILE, TOY, Browser

PAGES = f"{PREFIX}{navigation.MODELS}"
DEAD = "postgresql://ledger:a-password@127.0.0.1:9/perennial"


def row(page: str, model: str) -> str:
    """The row of a model in the table of all models."""
    return next(part for part in page.split('<tr role="row"') if f'href="{PAGES}/{model}"' in part)


def test_a_model_whose_folder_was_removed_is_shown_and_offers_nothing(
    admin: Browser, hostile: None, home: Path
) -> None:
    """Its DAGs are gone with the folder; the ledger still knows what serves."""
    shutil.rmtree(home / HOSTILE)
    page = admin.get(f"{PAGES}/{HOSTILE}")
    assert page.status_code == 200, page.text
    assert "The folder of this model was removed" in page.text and "v2 is still the champion" in page.text
    assert "<dialog" not in page.text and "data-opens" not in page.text
    assert "A rollback is not possible, because the folder of the model was removed." in page.text
    assert "not known without a folder" in page.text
    shown = row(admin.get(PAGES).text, HOSTILE)
    assert "folder removed" in shown and "Run night" not in shown and "Roll back" not in shown


def test_a_removed_folder_and_a_ledger_that_is_down_are_not_taken_for_an_unknown_model(
    admin: Browser, hostile: None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(home / HOSTILE)
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", DEAD)
    answer = admin.get(f"{PAGES}/{HOSTILE}")
    assert answer.status_code == 503 and "the ledger does not answer" in answer.text


def test_a_broken_folder_links_to_its_own_run_and_cannot_be_retried(
    admin: Browser, hostile: None, database: AirflowDatabase
) -> None:
    database.add_run(f"{BROKEN}_broken", "state__1", "failed", failed=["why"])
    database.add_dags([f"{BROKEN}_retrain"])
    database.add_run(f"{BROKEN}_retrain", "before_it_broke", "success")
    shown = row(admin.get(PAGES).text, BROKEN)
    assert f"/dags/{BROKEN}_broken/runs/state__1" in shown and "before_it_broke" not in shown
    assert "Retry" not in shown and "not known until the folder loads" in shown


def test_a_rollback_names_the_previous_champion_only_if_there_is_one(admin: Browser, hostile: None) -> None:
    """The second version serves after a way back from the third; an empty choice means the first."""
    one = admin.get(f"{PAGES}/{HOSTILE}").text
    assert '<option value="">v1, the previous champion</option>' in one and '<option value="3">v3' in one
    first = Ledger.default().version(HOSTILE, 1)
    assert first is not None and first.bundle is not None
    Ledger.default().promote(HOSTILE, 1, first.bundle, 4, "ada", "back", "further back", "rollback")
    again = admin.get(f"{PAGES}/{HOSTILE}").text
    assert "the previous champion</option>" not in again and '<option value="2">v2' in again


def test_nothing_is_said_to_be_missing_because_the_ledger_is_down(
    admin: Browser, hostile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", DEAD)
    for path in (PAGES, f"{PAGES}/{HOSTILE}"):
        page = admin.get(path).text
        assert "nothing decided yet" not in page and "No version serves" not in page, path


def test_a_model_that_was_never_trained_shows_its_first_night_and_needs_nobody(
    admin: Browser, home: Path, database: AirflowDatabase
) -> None:
    """As one that `make run MODELS=...` has left out."""
    (home / "toy").symlink_to(TOY)
    database.add_models("toy")
    database.add_version("toy_retrain", datetime.now(UTC))
    page = admin.get(PAGES).text
    assert "NO CHAMPION" in page and re.search(r"Its first night begins at \d{4}-\d\d-\d\d 03:00 UTC\.", page)
    assert "1 without a champion. No action is needed" in page and 'class="todo"' not in page
    database.clear()
    database.add_models("toy")
    database.add_version("toy_retrain", datetime.now(UTC) - timedelta(days=3))
    assert "No run of toy_retrain has begun since" in admin.get(PAGES).text


def test_a_dialog_says_that_its_dag_is_paused(admin: Browser, hostile: None, database: AirflowDatabase) -> None:
    said = f"{HOSTILE}_retrain is paused in Airflow: the run waits"
    assert said not in admin.get(f"{PAGES}/{HOSTILE}").text
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE dag SET is_paused = true WHERE dag_id = '{HOSTILE}_retrain'")
    page = admin.get(f"{PAGES}/{HOSTILE}").text
    assert page.count(said) == 2, "in the dialogs of a night and of its retry"


def test_who_may_read_only_other_dags_of_a_model_does_not_see_its_pages() -> None:
    def models(*dag_ids: str) -> frozenset[str]:
        return Reader("ada", frozenset(dag_ids)).models

    assert models("toy_rollback", "toy_collect", "toy_release") == frozenset()
    assert models("toy_retrain", "other_broken", "foreign") == {"toy", "other"}
    assert models("a_retrain_retrain", "b_broken_retrain") == {"a_retrain", "b_broken"}


def test_a_filter_that_fits_nothing_does_not_say_that_there_are_no_models(admin: Browser, hostile: None) -> None:
    page = admin.get(f"{PAGES}?name=nothing").text
    assert "No model fits this filter" in page and "There are no models" not in page


def test_a_folder_that_airflow_has_not_read_yet_is_not_a_matter_of_permissions_only(admin: Browser, home: Path) -> None:
    (home / "toy").symlink_to(TOY)
    answer: Any = admin.get(f"{PAGES}/toy")
    assert answer.status_code == 403 and "or Airflow has not read its folder yet" in answer.text


def test_a_card_is_not_called_absent_because_the_ledger_is_down(
    admin: Browser, hostile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = f"{PREFIX}/{HOSTILE}/card"
    assert admin.get(f"{card}/9").status_code == 404
    assert admin.get(f"{card}/{2**31}").status_code == 422
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", DEAD)
    answer = admin.get(f"{card}/1")
    assert answer.status_code == 503 and "A service does not answer" in answer.text
