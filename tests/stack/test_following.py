"""The line of a log that explains a failure, and the line that a user pastes."""

from __future__ import annotations

import json
import re
import shlex
import time
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from include import catalog
from include.errors import TransientError
from include.partitions import utc_now
from include.progress import Progress
from include.stack import champion, credentials, following
from include.stack.airflow_answers import Task
from include.stack.airflow_api import AirflowApi, Away, last_sentence
from include.stack.first_champions import READINGS, wait_for_dags
from include.stack.following import Follower, RunFailed, describe
from include.stack.layout import Stack


def test_the_sentence_of_a_failure_is_its_exception() -> None:
    log = [
        {"event": "::group::Log message source details", "sources": ["x"]},
        {"event": "Fetched 900 rows.", "level": "info"},
        {
            "event": "Task failed with exception",
            "level": "error",
            "error_detail": [
                {"exc_type": "ValueError", "exc_value": "cause"},
                {"exc_type": "DataError", "exc_value": "2026-05-03: 12 of 900 rows\nhave no carrier"},
            ],
        },
        {"event": "::endgroup::", "level": "info"},
    ]
    assert last_sentence(log) == "DataError: 2026-05-03: 12 of 900 rows have no carrier"
    assert last_sentence(log[:2]) == "Fetched 900 rows."
    assert last_sentence([]) == "(the log is empty)"


def test_the_progress_of_a_run_names_its_running_tasks() -> None:
    tasks = [
        Task("", "toy_retrain", "r", name, -1, 1, state, None, None)
        for name, state in (
            ("snapshot", "success"),
            ("train", "running"),
            ("train", "queued"),
            ("select", None),
            ("gate", "up_for_retry"),
        )
    ]
    assert describe(tasks) == "1/5 tasks, train x2, gate waits for its retry"


def test_the_curl_line_survives_a_shell(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "it's a home", 1, 2, 3)
    stack.prepare()
    body = {"rows": [{"dest": 'O\'Hare $HOME `x` "y"', "distance": 719.0}]}
    line = champion.curl_line(stack, "http://127.0.0.1:3/models/m/predict", body, with_token=False)
    assert "\n" not in line
    parts = shlex.split(line)
    assert parts[:3] == ["curl", "-s", "http://127.0.0.1:3/models/m/predict"]
    assert json.loads(parts[parts.index("-d") + 1]) == body


def test_the_shell_reads_the_token(tmp_path: Path, monkeypatch: object) -> None:
    stack = Stack(tmp_path / "home", 1, 2, 3)
    stack.prepare()
    (stack.secrets / "serving_token").write_text("s3cret")
    line = champion.curl_line(stack, "http://x/", {}, with_token=True)
    assert "s3cret" not in line
    assert f"$(cat {stack.secrets / 'serving_token'})" in line
    assert credentials.read(stack, "serving_token") == "s3cret"


def test_plain_progress_prints_lines_and_durations(capsys: object) -> None:
    assert isinstance(capsys, pytest.CaptureFixture)
    progress = Progress(terminal=False)
    with progress.step("collect") as report:
        report("85/85 partitions")
    progress.summary()
    text = capsys.readouterr().out
    assert "collect ...\n" in text
    assert re.search(r"^done: collect: 85/85 partitions \(\d+\.\d s\)$", text, re.MULTILINE)
    assert "total" in text


class Answers:
    """A call that gives the listed results one after the other; it repeats the last one forever."""

    def __init__(self, *ends: Exception | str) -> None:
        self.ends, self.calls = list(ends), 0

    def __call__(self) -> str:
        self.calls += 1
        end = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        if isinstance(end, Exception):
            raise end
        return end


@pytest.fixture
def follower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Follower:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.0)
    stack = Stack(tmp_path / "home", 1, 2, 3)
    return Follower(AirflowApi(stack), catalog.load("toy"))


def test_the_follower_waits_for_an_unreachable_api_without_limit(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start on a busy machine takes minutes. Here the clock advances by an hour with each call."""
    hours = count(step=3600)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(hours)))
    away = Answers(*[Away("it starts")] * 500, "here")
    assert follower.patiently(away) == "here"
    assert away.calls == 501


def test_the_follower_gives_up_on_an_api_that_always_refuses(follower: Follower) -> None:
    refusing = Answers(TransientError("500: out of order"))
    with pytest.raises(TransientError, match="out of order"):
        follower.patiently(refusing)
    assert refusing.calls == following.REFUSALS + 1


class Airflow:
    """The answers of Airflow's API about DAGs while Airflow parses their files again and again."""

    def __init__(self, errors: list[str], others: list[str]) -> None:
        self.errors, self.others, self.readings = errors, others, 0

    def dag(self, dag_id: str) -> None:
        return None

    def import_errors(self, since: datetime) -> list[str]:
        return self.errors

    def parsed(self, ending: str) -> dict[str, str]:
        self.readings += 1
        return {f"{other}{ending}": (utc_now() + timedelta(seconds=1)).isoformat() for other in self.others}


def test_an_import_error_of_a_dag_file_is_reported_at_once(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    airflow = Airflow(["collect.py: SyntaxError: invalid syntax"], [])
    monkeypatch.setattr(follower, "api", airflow)
    with pytest.raises(RunFailed, match="collect.py: SyntaxError"):
        wait_for_dags(follower, lambda _: None)


def test_a_dag_that_is_missing_from_a_parsed_file_is_an_error(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow = Airflow(["release.py: SyntaxError: of another kind"], ["orders"])
    monkeypatch.setattr(follower, "api", airflow)
    with pytest.raises(RunFailed, match="with orders_collect. and has not found toy_collect"):
        wait_for_dags(follower, lambda _: None)
    assert airflow.readings == READINGS + 1
