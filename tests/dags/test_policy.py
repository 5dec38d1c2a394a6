"""Policies that every DAG of the project follows, and what the parse of a single task may import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from include import catalog

ROOT = Path(__file__).parent.parent.parent
KINDS = {"collect", "load", "retrain", "release", "rollback", "monitor"}


@pytest.fixture(scope="module")
def bag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(ROOT / "dags"))


def test_every_file_imports(bag: Any) -> None:
    assert bag.import_errors == {}


def test_every_model_has_its_dags(bag: Any) -> None:
    names = [model.name for model in catalog.by_priority()]
    assert "toy" in names and len(names) > 1
    assert {f"{name}_{kind}" for name in names for kind in KINDS} <= set(bag.dags)


@pytest.mark.parametrize(
    ("kind", "task_id"),
    [
        ("reconcile", "reconcile"),
        ("predictions", "load_predictions"),
        ("incidents", "incident"),
        ("maintenance", "maintain"),
    ],
)
def test_one_dag_of_one_task_is_for_all_models(bag: Any, kind: str, task_id: str) -> None:
    dag = bag.dags[f"perennial_{kind}"]
    assert [task.task_id for task in dag.tasks] == [task_id]
    assert dag.max_active_runs == 1 or kind == "incidents", "people need not wait for each other"
    assert not [dag_id for dag_id in bag.dags if dag_id.endswith("_score")]


def test_tasks_of_a_model_of_higher_priority_go_first(bag: Any) -> None:
    for model in catalog.by_priority():
        for kind in KINDS:
            tasks = bag.dags[f"{model.name}_{kind}"].tasks
            assert {(task.priority_weight, str(task.weight_rule)) for task in tasks} == {
                (model.priority, "absolute")
            }, f"{model.name}_{kind}"


def test_every_dag_has_an_owner_and_instructions_for_failures(bag: Any) -> None:
    from airflow.sdk.definitions.dag import DAG

    for dag in bag.dags.values():
        assert isinstance(dag, DAG)
        assert dag.doc_md and "When a task fails" in dag.doc_md, dag.dag_id
        assert {"perennial"} < dag.tags, dag.dag_id
        assert dag.catchup is False, dag.dag_id
        assert dag.dagrun_timeout, dag.dag_id
        assert dag.description, dag.dag_id
        for task in dag.tasks:
            where = f"{dag.dag_id}.{task.task_id}"
            assert task.owner not in ("", "airflow"), where
            assert task.execution_timeout, where
            assert f"**{task.task_id}**" in dag.doc_md, f"{where} is not explained in doc_md"


def test_every_task_retries_with_back_off_and_one_shared_policy(bag: Any) -> None:
    from airflow.configuration import conf
    from perennial.operators.base import RETRY_POLICY

    delay = conf.getfloat("core", "default_task_retry_delay")
    for dag in bag.dags.values():
        for task in dag.tasks:
            where = f"{dag.dag_id}.{task.task_id}"
            assert task.retries >= 2, where
            assert task.retry_exponential_backoff, where
            assert task.retry_delay.total_seconds() == delay, where
            assert task.max_retry_delay, where
            assert task.retry_policy is RETRY_POLICY, where


def test_never_two_retrainings_or_releases_at_once(bag: Any) -> None:
    for dag_id, dag in bag.dags.items():
        if dag_id.endswith(("_retrain", "_release", "_rollback", "_predictions")):
            assert dag.max_active_runs == 1, dag_id


def test_no_credential_can_be_typed_into_a_form(bag: Any) -> None:
    for dag in bag.dags.values():
        for name in dag.params:
            assert not any(w in name.lower() for w in ("password", "token", "secret", "credential")), (dag.dag_id, name)


def test_the_form_of_a_scheduled_dag_has_valid_defaults_and_no_task_has_a_copy_of_it(bag: Any) -> None:
    """Airflow checks a form only if the DAG has it from the beginning, and then copies it into every task."""
    scheduled = [dag for dag in bag.dags.values() if dag.timetable.can_be_scheduled]
    assert {"toy_collect", "toy_retrain", "perennial_predictions"} <= {dag.dag_id for dag in scheduled}
    assert all(bag.dags[f"toy_{kind}"].params for kind in KINDS)
    for dag in scheduled:
        assert set(dag.params.validate()) == set(dag.params), dag.dag_id
    assert not [task for dag in bag.dags.values() for task in dag.tasks if task.params]


def test_the_candidates_of_a_retraining_are_chosen_from_a_list(bag: Any) -> None:
    field = bag.dags["toy_retrain"].params.get_param("candidates")
    assert field.schema["examples"] == ["baseline", "logistic", "boosting", "boosting_all", "coarse"]
    for value in (None, ["logistic", "coarse"], ["not listed"]):  # the run refuses the last one, with the closest name
        assert field.resolve(value) == value


def test_the_retry_policy_fails_bad_data_and_retries_lost_connections() -> None:
    from airflow.sdk.definitions.retry_policy import RetryAction
    from perennial.operators.base import RETRY_POLICY

    from include.errors import DataError, IntegrityError, TransientError

    def action(error: BaseException) -> RetryAction:
        return RETRY_POLICY.evaluate(error, try_number=1, max_tries=3).action

    assert action(DataError("bad")) is RetryAction.FAIL
    assert action(IntegrityError("bad")) is RetryAction.FAIL
    assert action(TransientError("gone")) is RetryAction.RETRY
    assert action(ConnectionResetError()) is RetryAction.RETRY
    assert action(TimeoutError()) is RetryAction.RETRY
    assert action(ValueError("a bug")) is RetryAction.DEFAULT


def test_parsing_twice_gives_the_same_dag() -> None:
    """A value that changes per parse would make a new DAG version every few seconds."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    once, twice = (
        {i: DagSerialization.to_dict(d) for i, d in DagBag(str(ROOT / "dags")).dags.items()} for _ in range(2)
    )
    assert once == twice


def test_dag_files_only_connect_operators() -> None:
    """A DAG file has no function, class, condition, `try` or `while`."""
    for path in sorted((ROOT / "dags").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.Try, ast.While, ast.If)), path


def test_the_parse_of_a_task_builds_one_dag_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from airflow.dag_processing.dagbag import DagBag; before = set(sys.modules);"
        f"bag = DagBag({str(ROOT / 'dags' / 'retrain.py')!r});"
        "heavy = {'pandas','numpy','sklearn','mlflow','great_expectations','deltalake','onnx','onnxruntime','skops'};"
        "print(sorted(bag.dags), sorted(heavy & (set(sys.modules) - before)), bag.import_errors)"
    )
    import os

    env = os.environ | {
        "_AIRFLOW_PARSING_CONTEXT_DAG_ID": "toy_retrain",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
    }
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "['toy_retrain'] [] {}", done.stdout + done.stderr


def serialized_timetable(bag: Any) -> Any:
    """The timetable of the broken folder, as the scheduler reads it."""
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.to_dict(bag.dags["halfway_broken"])["dag"]["timetable"]


def test_a_broken_folder_becomes_a_dag_that_explains_the_mistake(tmp_path: Path) -> None:
    import include.models

    (tmp_path / "halfway").mkdir()
    (tmp_path / "halfway" / "model.py").write_text("MODEL = 1\n")
    before = list(include.models.__path__)
    include.models.__path__ = [*before, str(tmp_path)]
    try:
        from airflow.dag_processing.dagbag import DagBag

        found = DagBag(str(ROOT / "dags"))
        assert found.import_errors == {}
        assert "halfway_collect" not in found.dags
        assert "toy_collect" in found.dags
        broken = found.dags["halfway_broken"]
        assert "source.py is missing" in (broken.doc_md or "")
        once, again = (serialized_timetable(DagBag(str(ROOT / "dags" / "operations.py"))) for _ in range(2))
        assert once == again, "another timetable at each parse would start a run at each parse"
        (tmp_path / "halfway" / "model.py").write_text("MODEL = 2\n")
        assert serialized_timetable(DagBag(str(ROOT / "dags" / "operations.py"))) != once
        rollback = found.dags["halfway_rollback"]  # a rollback must work after a bad change to a folder
        assert [task.task_id for task in rollback.tasks] == [t.task_id for t in found.dags["toy_rollback"].tasks]
        assert set(rollback.params) == set(found.dags["toy_rollback"].params) and rollback.max_active_runs == 1
        assert "source.py is missing" in (rollback.doc_md or "") and "halfway_release" not in found.dags
    finally:
        include.models.__path__ = before


def test_a_model_on_demand_has_no_nights_and_its_form_is_that_of_every_model(bag: Any) -> None:
    bikes, toy = bag.dags["bike_demand_retrain"], bag.dags["toy_retrain"]
    assert not bikes.timetable.can_be_scheduled and toy.timetable.can_be_scheduled
    assert set(bikes.params.validate()) == set(toy.params)
    assert bag.dags["bike_demand_collect"].timetable.can_be_scheduled, "its days are collected every night"
