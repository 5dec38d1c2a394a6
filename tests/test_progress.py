"""`make run` prints progress during a step, and a last line when the step is done."""

from __future__ import annotations

import pytest

from include.progress import Progress


def test_a_step_that_is_done_shows_its_last_detail(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(terminal=False, quiet=0).step("collect") as report:
        report("84/85 partitions")
        report("85/85 partitions")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "collect ..."
    assert printed[1].startswith("  collect: 84/85 partitions (")
    assert printed[-1].startswith("done: collect: 85/85 partitions (")


def test_a_step_that_is_done_is_no_longer_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(terminal=False, quiet=0).step("Airflow") as report:
        report("waiting for api-server")
        report("")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3 and printed[-1].startswith("done: Airflow (")
