"""The note of a run: it begins with the outcome, whatever the tasks pushed, and keeps what people wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from perennial import notes
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

BEGAN = datetime(2026, 5, 3, 2, tzinfo=UTC)


@pytest.fixture
def session() -> Iterator[Session]:
    """Airflow's tables, empty."""
    from airflow.models import import_all_models
    from airflow.models.base import Base

    import_all_models()
    engine = sa.create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def ended(
    session: Session,
    tasks: Sequence[tuple[str, str, str | None]],
    *,
    conf: dict[str, Any] | None = None,
    note: str | None = None,
    tags: Sequence[str] = ("perennial", "toy"),
) -> Any:
    """A run of `toy_retrain` whose tasks have ended, in order: name, state, and the sentence that it pushed."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel

    run = DagRun(
        "toy_retrain", "r", run_type="manual", conf=conf, note=note, triggering_user_name="ada", run_after=BEGAN
    )
    run.dag = SimpleNamespace(tags=set(tags))
    session.add(run)
    session.flush()
    for minute, (task_id, state, pushed) in enumerate(tasks):
        at = BEGAN + timedelta(minutes=minute)
        of_run = {"dag_id": "toy_retrain", "run_id": "r", "task_id": task_id}
        row = {"id": uuid4(), "state": state, "pool": "default_pool", "end_date": at, **of_run}
        session.execute(sa.insert(TaskInstance.__table__).values(**row))
        if pushed:
            row = {"dag_run_id": run.id, "key": notes.KEY, "value": pushed, "timestamp": at, **of_run}
            session.execute(sa.insert(XComModel.__table__).values(**row))
    return run


PASSED = ("gate", "success", "PASSED v2 (boosting): not worse")


def test_the_note_begins_with_the_newest_outcome_and_keeps_what_people_wrote(session: Session) -> None:
    run = ended(
        session,
        [PASSED, ("release", "skipped", "HELD v2: frozen by ada")],
        conf={"note": "after  the\noutage"},
        note="see ticket 7",
    )
    notes.on_dag_run_success(run, "success")
    assert run.note == "HELD v2: frozen by ada\n\nsee ticket 7\n\nNote by ada: after the outage"


def test_a_task_that_pushed_nothing_is_named_instead_of_an_earlier_success(session: Session) -> None:
    """It was killed, or raised another error than ours."""
    run = ended(session, [PASSED, ("package", "failed", None), ("release", "upstream_failed", None)])
    notes.on_dag_run_failed(run, "task_failure")
    assert run.note == "FAILED in `package`: the log of the task shows the error."


def test_the_reason_of_the_failed_task_counts_and_the_note_of_the_form_is_kept(session: Session) -> None:
    failed = ("package", "failed", "FAILED in `package`: no parity")
    run = ended(session, [PASSED, failed, ("other", "success", "SKIPPED: later")], conf={"note": "by hand"})
    notes.on_dag_run_failed(run, "task_failure")
    assert run.note == "FAILED in `package`: no parity\n\nNote by ada: by hand"


def test_the_outcome_of_an_earlier_end_is_replaced(session: Session) -> None:
    run = ended(session, [("gate", "failed", None)], conf={"note": "by hand"}, note="URGENT: see ticket 7")
    notes.on_dag_run_failed(run, "task_failure")
    assert run.note.startswith("FAILED in `gate`") and run.note.endswith("by hand")
    session.execute(sa.text("UPDATE task_instance SET state = 'success'"))
    xcom = "INSERT INTO xcom (dag_run_id, task_id, key, dag_id, run_id, value, timestamp)"
    session.execute(
        sa.text(f"{xcom} VALUES (:id, 'gate', :key, 'toy_retrain', 'r', :value, :at)"),
        {"id": run.id, "key": notes.KEY, "value": '"REJECTED v2 (coarse): worse"', "at": str(BEGAN)},
    )
    notes.on_dag_run_success(run, "success")
    assert run.note == "REJECTED v2 (coarse): worse\n\nURGENT: see ticket 7\n\nNote by ada: by hand"


@pytest.mark.parametrize(
    ("state", "hook"), [("failed", notes.on_dag_run_failed), ("success", notes.on_dag_run_success)]
)
def test_a_state_that_a_person_set_is_not_an_outcome_of_a_task(session: Session, state: str, hook: Any) -> None:
    run = ended(session, [PASSED, ("package", "failed", "FAILED in `package`: no parity")])
    hook(run, f"Dag Run's state was manually set to `{state}`.")
    assert run.note == f"MARKED {state}: a person set the state of this run."


def test_a_run_that_timed_out_says_so(session: Session) -> None:
    run = ended(session, [PASSED, ("package", "skipped", None)])
    notes.on_dag_run_failed(run, "timed_out")
    assert run.note == "FAILED: the run did not end within its time limit (`dagrun_timeout`)."


def test_runs_of_other_projects_are_left_alone(session: Session) -> None:
    run = ended(session, [("package", "failed", None)], tags=["shop"])
    notes.on_dag_run_failed(run, "task_failure")
    assert run.note is None


@pytest.mark.parametrize("outcome", ["FAILED in `x`: short", "FAILED in `x`: " + "long " * 400])
@pytest.mark.parametrize("present", ["", "a person's note", "words " * 166])
def test_a_note_fits_into_airflows_column(outcome: str, present: str) -> None:
    """A longer note ends the scheduler."""
    typed = f"Note by ada: {'reason ' * 70}".strip()
    note = notes.composed(outcome, present, typed)
    first, *others = note.split("\n\n")
    assert len(note) <= notes.LONGEST and first.startswith("FAILED in `x`: ")
    assert len(first) >= min(len(outcome.strip()), notes.OUTCOME_KEEPS) - 10
    assert others[0][:10] == (present or typed)[:10]
    assert notes.composed(outcome, note, typed).count("Note by ada") <= 1


def test_the_models_page_leaves_out_every_outcome() -> None:
    """The page shows the outcome by itself; a new word must be known there as well."""
    from include.overview.wording import sentence_of

    for word in notes.WORDS:
        assert sentence_of(f"{word} v7 (boosting): it is better\n\nNote by op: tried") == "It is better", word
