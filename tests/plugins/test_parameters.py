"""The parameters of every DAG: a value out of bounds is refused at once with a clear sentence, whatever its origin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from perennial import refusals
from perennial.parameters import (
    Action,
    CollectParameters,
    IncidentParameters,
    LoadParameters,
    MonitorParameters,
    NoParameters,
    Parameters,
    ReleaseParameters,
    RetrainParameters,
    RollbackParameters,
)

from include.errors import ConfigurationError
from include.partitions import RunDates, partition
from tests.plugins import in_process
from tests.plugins.in_process import form_refuses, run_task, serialized

FIRST_TASK = {
    "collect": "collect", "load": "plan", "retrain": "snapshot", "release": "smoke_test", "rollback": "rollback",
    "predictions": "load_predictions", "incidents": "incident", "monitor": "monitor",
}  # fmt: skip
MODELS: dict[str, type[Parameters]] = {
    "collect": CollectParameters, "load": LoadParameters, "retrain": RetrainParameters, "release": ReleaseParameters,
    "rollback": RollbackParameters, "predictions": NoParameters, "incidents": IncidentParameters,
    "monitor": MonitorParameters,
}  # fmt: skip
NAN, HUGE = float("nan"), 10**30
NUMBERS: tuple[Any, ...] = (NAN, float("inf"), 1e30, HUGE, -HUGE, 1.5, -1, "3", "x", True, [1], {"a": 1}, 2**63)
DAYS: tuple[Any, ...] = ("0001-01-01", "9999-12-31", "1899-12-31", "2026-02-30", "yesterday", 20260503, 1e30, ["x"])
TEXTS: tuple[Any, ...] = (1, 1e30, ["a"], {"a": "b"}, True, "x" * 1001)
HOSTILE: list[tuple[str, dict[str, Any]]] = [
    *(("release", {"version": value}) for value in (*NUMBERS, None, 0)),
    *(("release", {"version": 1, "expected_epoch": value}) for value in NUMBERS),
    *(("release", {"version": 1, "reason": value}) for value in TEXTS),
    *(("rollback", {"reason": "bad", "version": value}) for value in (*NUMBERS, 0)),
    *(("rollback", {"reason": value}) for value in (*TEXTS, None, "", "  x  ")),
    *(("rollback", {"reason": "bad", "action": value}) for value in ("freeze", 1, None, True, ["x"])),
    *(("incidents", {"number": value}) for value in (*NUMBERS, None, 0)),
    *(("incidents", {"reason": value}) for value in (*TEXTS, None, "", "  x  ")),
    *(("incidents", {"action": value}) for value in ("open", 1, None, True, ["close"])),
    ("rollback", {"reason": "bad", "action": Action.LIFT.value, "version": 3}),
    ("rollback", {"reason": "bad", "action": Action.LIFT.value, "lift_freeze": True}),
    ("rollback", {"reason": "bad", "lift_freeze": "yes"}),
    *(("retrain", {"window_days": value}) for value in (*NUMBERS, 0, 36_501)),
    *(("retrain", {"seed": value}) for value in (*NUMBERS, 2**32)),
    *(("retrain", {"force": value}) for value in (1, "yes", [True], 1e30)),
    *(("retrain", {"candidates": value}) for value in ("logistic", 1, [1], [""], ["x"] * 101, {"a": 1})),
    *(("retrain", {"note": value}) for value in TEXTS),
    *(("retrain", {"as_of": value}) for value in DAYS),
    *(("collect", {"partition": value}) for value in DAYS),
    *(("monitor", {"partition": value}) for value in DAYS),
    *(("load", {"first": value}) for value in DAYS),
    *(("load", {"last": value}) for value in DAYS),
    *(("load", {"days": value}) for value in ("some", "", None, 1, True, ["missing"], {"a": 1})),
    *(("load", {"days_per_task": value}) for value in (*NUMBERS, 0, 1001)),
    *((kind, {"sedd": 1}) for kind in MODELS),
    *((kind, {"unknown": HUGE}) for kind in MODELS),
]  # fmt: skip
REQUIRED: dict[str, dict[str, Any]] = {"release": {"version": 1}, "rollback": {"reason": "bad"}}
REQUIRED["incidents"] = {"number": 1, "reason": "bad"}
SHARED = ("predictions", "incidents")


def dag(kind: str) -> Any:
    return in_process.dag(f"perennial_{kind}" if kind in SHARED else f"toy_{kind}")


def named(values: Any) -> str:
    return repr(values)[:40]


@pytest.mark.parametrize(("kind", "conf"), HOSTILE, ids=named)
def test_a_value_out_of_bounds_is_refused_with_one_sentence(kind: str, conf: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^toy_\w+ cannot run with these parameters: .+\.$") as refused:
        MODELS[kind].of(f"toy_{kind}", REQUIRED.get(kind, {}) | conf)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("kind", MODELS)
def test_a_task_reads_its_parameters_first_and_is_not_retried(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is configured here, so a task that reads anything else first fails with another error."""
    ended = run_task(dag(kind), FIRST_TASK[kind], REQUIRED.get(kind, {}) | {"sedd": 1}, patch=monkeypatch)
    assert isinstance(ended.error, ConfigurationError) and "'sedd' is not a parameter" in str(ended.error)
    assert ended.state == "failed", "not up_for_retry"
    assert "'sedd' is not a parameter" in ended.note


IN_A_FORM = [(kind, conf) for kind, conf in HOSTILE if not {"sedd", "unknown", "force", "lift_freeze"} & set(conf)]


@pytest.mark.parametrize(("kind", "conf"), IN_A_FORM, ids=named)
def test_a_form_or_its_task_refuses_every_wrong_value(
    kind: str, conf: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form refuses almost all of them when the run is created: in the browser, or with a 400 in the API."""
    asked = REQUIRED.get(kind, {}) | conf
    if form_refuses(dag(kind), asked) is None:
        ended = run_task(dag(kind), FIRST_TASK[kind], asked, patch=monkeypatch)
        assert isinstance(ended.error, ConfigurationError) and ended.state == "failed"


def test_every_number_of_a_form_has_bounds() -> None:
    """An unbounded number accepts 1e30, which PostgreSQL turns into a number that cannot be sent to a task."""
    for dag_id, made in in_process._bag().dags.items():
        for name in made.params:
            schema = made.params.get_param(name).schema
            kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            if {"integer", "number"} & set(kinds):
                assert {"minimum", "maximum"} <= set(schema), f"{dag_id}.{name}"
            if "string" in kinds:
                assert {"maxLength", "enum", "pattern"} & set(schema), f"{dag_id}.{name}"


def test_a_task_knows_every_parameter_of_its_form() -> None:
    for kind, model in MODELS.items():
        assert set(dag(kind).params) <= set(model.model_fields), kind
        defaults = {name: dag(kind).params.get_param(name).value for name in dag(kind).params}
        given = {name: value for name, value in defaults.items() if name not in REQUIRED.get(kind, {})}
        model.of(f"toy_{kind}", REQUIRED.get(kind, {}) | given)


def test_valid_values_are_typed() -> None:
    assert ReleaseParameters.of("d", {"version": 2.0, "reason": None, "released_by": "perennial"}).version == 2
    wanted = {"as_of": "2026-05-03", "window_days": 30.0, "candidates": ["a"], "seed": 7, "note": None}
    given = RetrainParameters.of("d", wanted).as_dict()
    assert given == {"as_of": "2026-05-03", "window_days": 30, "candidates": ["a"], "seed": 7}
    assert RetrainParameters.of("d", {"airflow/task_span_detail_level": 2}).as_dict() == {}


@pytest.mark.parametrize(
    ("conf", "chosen"),
    [
        ({}, Action.FREEZE),
        ({"action": Action.KEEP.value}, Action.KEEP),
        ({"action": Action.LIFT.value}, Action.LIFT),
        ({"freeze": True, "lift_freeze": False}, Action.FREEZE),
        ({"freeze": False}, Action.KEEP),
        ({"lift_freeze": True}, Action.LIFT),
        ({"freeze": True, "lift_freeze": True, "action": Action.FREEZE.value}, Action.LIFT),
    ],
)
def test_the_switches_of_the_former_form_are_understood(conf: dict[str, Any], chosen: Action) -> None:
    assert RollbackParameters.of("toy_rollback", {"reason": "bad"} | conf).chosen is chosen


@pytest.mark.parametrize("key", ["0001-01-01", "1899-12-31", "9999-12-31", "2200-01-01"])
def test_a_day_of_a_year_without_partitions_is_a_configuration_error(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="out of range: give a day of the years 1900 to 2199"):
        partition(key, "Asia/Tokyo")
    moment = datetime.fromisoformat(f"{key}T00:00:00+00:00")
    with pytest.raises(ConfigurationError, match="out of range"):
        _ = RunDates(run_after=moment).moment
    for dates in ({"partition_key": key}, {"run_after": moment}, {"logical_date": moment, "run_after": moment}):
        ended = run_task(dag("collect"), "collect", patch=monkeypatch, **dates)
        assert ended.state == "failed" and "out of range" in ended.note, ended.error


def test_a_day_before_the_model_begins_is_refused_except_for_a_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run_task(dag("collect"), "collect", {"partition": "2024-12-31"}, patch=monkeypatch)
    assert ended.state == "failed" and "toy begins on 2025-01-01" in ended.note
    ended = run_task(dag("collect"), "collect", run_type="backfill", partition_key="2024-12-31", patch=monkeypatch)
    assert ended.state == "failed" and "toy begins on 2025-01-01" in ended.note
    ended = run_task(dag("collect"), "collect", run_type="scheduled", partition_key="2024-12-31", patch=monkeypatch)
    assert "begins on" not in str(ended.error)


@dataclass
class Begun:
    """The parts of a run that the listener in the scheduler uses."""

    dag: Any
    conf: dict[str, Any] | None
    dag_id: str = "toy_release"
    run_id: str = "a-run"
    note: str | None = None
    triggering_user_name: str | None = "ada"
    state: str = "running"
    logical_date: datetime | None = None

    def set_state(self, state: Any) -> None:
        self.state = str(state)


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        ({"version": 1, "x": HUGE}, "more than 64 bits (x)"),
        ({"version": 1, "x": {"y": [1, 1e30]}}, "more than 64 bits (x.y[1])"),
        ({"version": 1, "x": -(2**63) - 1}, "more than 64 bits (x)"),
        ({"version": 1, "k" * 2000: 1e30}, "more than 64 bits (kkk"),
        ({"version": 1, **{f"{n}" + "k" * 1000: [HUGE] for n in range(9)}}, "more than 64 bits (0kkk"),
        ({"version": 2**31}, "Invalid input for param version"),  # created before the form had a maximum
    ],
)
def test_a_run_whose_conf_cannot_reach_a_task_fails_at_its_start(conf: dict[str, Any], says: str) -> None:
    run = Begun(serialized(dag("release")), conf)
    refusals.on_dag_run_running(cast(Any, run), "started")
    assert run.state == "failed" and run.note is not None and says in run.note
    assert len(run.note) <= 1000, "a note longer than Airflow's column ends the scheduler"
    assert run.note.endswith("again with other parameters.")


def test_a_refused_run_keeps_the_notes_of_people() -> None:
    run = Begun(serialized(dag("release")), {"version": 2**31, "note": "for the audit"}, note="see ticket 7")
    refusals.on_dag_run_running(cast(Any, run), "started")
    first, *others = str(run.note).split("\n\n")
    assert first.startswith("REFUSED: Invalid input for param version")
    assert others == ["see ticket 7", "Note by ada: for the audit"]


@pytest.mark.parametrize(
    ("moment", "says"),
    [
        ("9999-12-31T23:59:59", "9999-12-31 23:59 UTC is in the future"),
        ("2200-01-01T00:00:00", "is in the future"),
        ("0001-01-01T00:00:00", "is before 2025-01-01, when toy_release begins"),
        ("2024-12-31T00:00:00", "is before 2025-01-01, when toy_release begins"),
    ],
)
def test_a_run_that_would_get_no_task_fails_at_its_start(moment: str, says: str) -> None:
    """A run about the future would never end and would block the next. One about the past would run no task."""
    run = Begun(serialized(dag("release")), {"version": 1}, logical_date=datetime.fromisoformat(f"{moment}+00:00"))
    refusals.on_dag_run_running(cast(Any, run), "started")
    assert run.state == "failed" and run.note is not None and says in run.note


@pytest.mark.parametrize("minutes", [-60 * 24 * 30, 0, 5])
def test_a_run_with_a_logical_date_of_about_now_or_before_continues(minutes: int) -> None:
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    run = Begun(serialized(dag("release")), {"version": 1}, logical_date=moment)
    refusals.on_dag_run_running(cast(Any, run), "started")
    assert (run.state, run.note) == ("running", None)


@pytest.mark.parametrize("conf", [{"version": 1, "x": 2**64 - 1, "z": None}, {"version": 3}])
def test_a_run_with_a_valid_conf_continues(conf: dict[str, Any]) -> None:
    run = Begun(serialized(dag("release")), conf)
    refusals.on_dag_run_running(cast(Any, run), "started")
    assert (run.state, run.note) == ("running", None)
