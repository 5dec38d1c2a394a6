"""A first night that a stack missed because it was down: it is made up for once, and only if nobody else does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include import catalog
from include.stack.airflow_answers import Dag, Run
from include.stack.airflow_api import AirflowApi
from include.stack.following import Follower
from include.stack.layout import Stack
from include.stack.missed import missed_night

NOW = datetime(2026, 5, 10, 9, tzinfo=UTC)  # the toy's night begins at 03:00 UTC
TONIGHT = datetime(2026, 5, 10, 3, tzinfo=UTC)


class Airflow:
    """Airflow's answers about `toy_retrain`: whether it is paused, and its runs (kind, when), newest first."""

    def __init__(self, runs: list[tuple[str, str]], dag: Dag | None) -> None:
        self._runs, self._dag = runs, dag

    def dag(self, dag_id: str) -> Dag | None:
        assert dag_id == "toy_retrain"
        return self._dag

    def runs(self, dag_id: str, limit: int, run_type: str | None = None) -> Iterator[Run]:
        for kind, at in self._runs:
            if run_type in (None, kind):
                yield Run(f"{kind}__{at}", "success", "", at, at)


@pytest.fixture
def follower(tmp_path: Path) -> Follower:
    return Follower(AirflowApi(Stack(tmp_path / "home", 1, 2, 3)), catalog.load("toy"))


FIRST = ("manual", "2026-05-09T14:00:00Z")


@pytest.mark.parametrize(
    ("runs", "dag", "wanted"),
    [
        ([FIRST], Dag(False, False), TONIGHT),
        ([("manual", "2026-05-10T04:00:00Z"), FIRST], Dag(False, False), None),  # a person ran it since
        ([FIRST, ("scheduled", "2026-05-08T03:00:00Z")], Dag(False, False), None),  # the scheduler makes up for it
        ([FIRST], Dag(True, False), None),  # paused: a person does not want nights
        ([], Dag(False, False), None),  # never trained: `make run` brings it to a champion
        ([FIRST], None, None),
    ],
)
def test_a_first_night_is_missed_once(
    follower: Follower, monkeypatch: pytest.MonkeyPatch, runs: Any, dag: Dag | None, wanted: datetime | None
) -> None:
    assert follower.model.training.schedule == "0 3 * * *" and follower.model.timezone == "UTC"
    monkeypatch.setattr(follower, "api", Airflow(runs, dag))
    assert missed_night(follower, NOW) == wanted


def test_before_the_first_tick_nothing_is_missed(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "api", Airflow([FIRST], Dag(False, False)))
    assert missed_night(follower, datetime(2026, 5, 9, 20, tzinfo=UTC)) is None
