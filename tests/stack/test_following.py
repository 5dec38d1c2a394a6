"""Ranges to back-fill, the line of a log that explains a failure, and the line that a user pastes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from include.stack import champion, credentials
from include.stack.airflow_api import last_sentence
from include.stack.following import describe, ranges
from include.stack.layout import Stack
from include.stack.progress import Progress


def test_missing_days_become_contiguous_ranges() -> None:
    assert ranges([]) == []
    assert ranges(["2026-03-01", "2026-02-28", "2026-02-27", "2026-05-03", "2026-05-05"]) == [
        ("2026-02-27", "2026-03-01"),
        ("2026-05-03", "2026-05-03"),
        ("2026-05-05", "2026-05-05"),
    ]


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


def test_progress_of_a_run_names_what_runs() -> None:
    tasks: list[dict[str, Any]] = [
        {"task_id": "snapshot", "state": "success"},
        {"task_id": "train", "state": "running"},
        {"task_id": "train", "state": "queued"},
        {"task_id": "select", "state": None},
        {"task_id": "gate", "state": "up_for_retry"},
    ]
    assert describe(tasks) == "1/5 tasks, train x2, gate waits to be tried again"


def test_the_curl_line_survives_a_shell(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "it's a home", 1, 2, 3)
    stack.prepare()
    body = {"rows": [{"dest": 'O\'Hare $HOME `x` "y"', "distance": 719.0}]}
    line = champion.curl_line(stack, "http://127.0.0.1:3/models/m/predict", body, with_token=False)
    assert "\n" not in line
    parts = shlex.split(line)
    assert parts[:3] == ["curl", "-s", "http://127.0.0.1:3/models/m/predict"]
    assert json.loads(parts[parts.index("-d") + 1]) == body


def test_the_token_is_read_by_the_shell(tmp_path: Path, monkeypatch: object) -> None:
    stack = Stack(tmp_path / "home", 1, 2, 3)
    stack.prepare()
    (stack.secrets / "serving_token").write_text("s3cret")
    line = champion.curl_line(stack, "http://x/", {}, with_token=True)
    assert "s3cret" not in line
    assert f"$(cat {stack.secrets / 'serving_token'})" in line
    assert credentials.read(stack, "serving_token") == "s3cret"


def test_plain_progress_prints_lines_and_durations(capsys: object) -> None:
    import pytest

    assert isinstance(capsys, pytest.CaptureFixture)
    progress = Progress(terminal=False)
    with progress.step("collect") as report:
        report("85/85 partitions")
    progress.summary()
    text = capsys.readouterr().out
    assert "collect ...\n" in text
    assert "done: collect: 85/85 partitions (0.0 s)" in text
    assert "total" in text
