"""Which release runs show that the last decision can still be carried out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner
from perennial.operators.training import SnapshotOperator, release_run_id

from include.registry.rows import VersionRow
from tests.plugins.in_process import Supervisor

OWN = ("toy_release", release_run_id(7, "d" * 64))


def row(bundle: str | None = "d" * 64) -> VersionRow:
    return VersionRow(
        model="toy", version=7, run_id="r", candidate="c", recipe={}, twin="t", twin_first="2026-01-01",
        twin_last="2026-02-01", metrics={}, bundle=bundle, state="packaged",
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "last", "under_way"),
    [
        ({}, row(), False),
        ({OWN: "queued"}, row(), True),
        ({OWN: "running"}, row(), True),
        ({OWN: "failed"}, row(), False),
        ({("toy_release", "manual__1"): "running"}, row(), True),
        ({("toy_release", "manual__1"): "queued"}, row(), False),  # its run_after can be a hundred years away
        ({("other_release", OWN[1]): "queued"}, row(), False),
        ({OWN: "queued"}, row(bundle=None), False),
        ({("toy_release", "manual__1"): "running"}, None, True),
    ],
)
def test_a_release_is_under_way(
    runs: dict[tuple[str, str], str], last: VersionRow | None, under_way: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor({}, runs=runs), raising=False)
    context: Any = {"ti": task_runner.RuntimeTaskInstance}
    assert SnapshotOperator(task_id="snapshot", model="toy")._release_under_way(context, last) is under_way
