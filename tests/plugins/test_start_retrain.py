"""The task `retrain` of `<model>_monitor`: which run it starts, once, and what it says if it starts none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from perennial.parameters import RetrainParameters

from include import catalog
from include.data.lake import Lake
from include.monitoring.run import Monitored
from include.partitions import earlier
from include.registry.retraining_requests import RetrainingRequests
from tests.plugins.in_process import Ended, dag, form_refuses, run_task
from tests.services import shared
from tests.training import toy_days

KEY = "2026-05-13"
WHY = "Retraining, because the champion is stale by 0.03."


@pytest.fixture
def home(pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ledger, and a lake whose newest day is `KEY`."""
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", shared(pytestconfig).new_ledger())
    collect(KEY)
    return tmp_path


def collect(*keys: str) -> None:
    toy = catalog.load("toy")
    lake = Lake.of(toy)
    lake.create()
    for key in keys:
        toy_days.publish(lake, toy, key, toy_days.day(toy, key))


def monitored(key: str = KEY, retrain: bool = True, reason: str = WHY) -> Monitored:
    return Monitored(
        key=key, note=f"MONITORED {key}: within all limits. {reason}", lines=(), newest=True, retrain=retrain,
        cause="stale" if retrain else "", reason=reason, rows=9, measures=1, violated=1, unknown=0,
    )  # fmt: skip


def run(patch: pytest.MonkeyPatch, result: Monitored) -> Ended:
    xcoms = {"monitor": result.as_dict()}
    return run_task(dag("toy_monitor"), "retrain", patch=patch, run_type="scheduled", user=None, xcoms=xcoms)


def test_it_starts_one_run_about_the_monitored_day_with_the_reason_as_its_note(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = run(monkeypatch, monitored())
    assert ended.state == "success", ended.error
    (started,) = ended.triggered
    assert (started.dag_id, started.run_id) == ("toy_retrain", f"monitor__{KEY}")
    assert started.conf == {"as_of": KEY, "note": WHY} and started.logical_date is None
    assert form_refuses(dag("toy_retrain"), started.conf) is None
    assert RetrainParameters.of("toy_retrain", started.conf).as_dict() == started.conf
    assert ended.note.startswith(f"MONITORED {KEY}: ") and f"Retraining started as monitor__{KEY}" in ended.note
    row = RetrainingRequests.default().newest("toy")
    assert row is not None and (row.as_of, row.cause, row.reason, row.granted) == (KEY, "stale", WHY, True)


def test_a_task_that_was_killed_and_is_repeated_starts_the_same_run(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow creates a run of one id once (`skip_when_already_exists`); also if a newer day has come in between."""
    first = run(monkeypatch, monitored())
    again = run(monkeypatch, monitored())
    collect(earlier(KEY, -1))
    later = run(monkeypatch, monitored())
    assert first.triggered == again.triggered == later.triggered and len(first.triggered) == 1
    assert dag("toy_monitor").get_task("retrain").skip_when_already_exists is True


def test_without_an_action_nothing_is_asked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run(monkeypatch, monitored(retrain=False, reason="No retraining: no new labels."))
    assert (ended.state, ended.triggered, ended.note) == ("skipped", (), "")
    assert RetrainingRequests.default().newest("toy") is None


def test_the_cool_down_refuses_and_the_note_says_until_when(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, monitored())
    tomorrow = earlier(KEY, -1)
    collect(tomorrow)
    for _ in range(2):
        ended = run(monkeypatch, monitored(tomorrow))
        assert (ended.state, ended.triggered) == ("skipped", ())
        assert "Not retrained: Monitoring started a retraining on" in ended.note
        assert "the next one is possible from" in ended.note and "monitoring.cooldown_days" in ended.note


def test_a_look_at_an_old_day_retrains_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collect(earlier(KEY, 3))
    ended = run(monkeypatch, monitored(earlier(KEY, 3)))
    assert (ended.state, ended.triggered) == ("skipped", ())
    assert f"2026-05-10 is not the newest day ({KEY} is published)" in ended.note
    assert RetrainingRequests.default().newest("toy") is None


def test_a_ledger_that_does_not_answer_is_tried_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", "postgresql+psycopg2://nobody@127.0.0.1:9/none")
    ended: Any = run(monkeypatch, monitored())
    assert (ended.state, ended.triggered) == ("up_for_retry", ())
