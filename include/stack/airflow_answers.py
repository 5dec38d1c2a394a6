"""The answers of Airflow's API about DAGs, runs and tasks, reduced to the fields that are used here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Dag:
    """A DAG. ``is_stale``: it is known from an earlier start and not yet parsed again."""

    is_paused: bool
    is_stale: bool

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Dag:
        return cls(is_paused=answer["is_paused"], is_stale=answer["is_stale"])


@dataclass(frozen=True)
class Run:
    """A run of a DAG; times are ISO texts in UTC. ``note`` is empty if there is none."""

    dag_run_id: str
    state: str
    note: str
    queued_at: str | None
    start_date: str | None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Run:
        return cls(
            dag_run_id=answer["dag_run_id"],
            state=answer["state"],
            note=answer["note"] or "",
            queued_at=answer["queued_at"],
            start_date=answer["start_date"],
        )


@dataclass(frozen=True)
class Task:
    """A task instance of a run; before it is scheduled, ``state`` is ``None``. Without mapping, ``map_index`` is -1."""

    id: str
    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int
    try_number: int
    state: str | None
    queued_when: str | None
    end_date: str | None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Task:
        return cls(
            id=answer["id"],
            dag_id=answer["dag_id"],
            dag_run_id=answer["dag_run_id"],
            task_id=answer["task_id"],
            map_index=answer["map_index"],
            try_number=answer["try_number"],
            state=answer["state"],
            queued_when=answer["queued_when"],
            end_date=answer["end_date"],
        )

    @property
    def name(self) -> str:
        """The id of the task, with the index of a mapped one: ``train[0]``."""
        return f"{self.task_id}[{self.map_index}]" if self.map_index >= 0 else self.task_id
