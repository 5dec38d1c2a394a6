"""Since when Airflow has a model, for `make status`: asked only if a model has no run that would say more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from include import catalog
from include.stack import airflow_runs
from include.stack.airflow_api import AirflowApi

NOW = datetime(2026, 5, 10, 7, tzinfo=UTC)
SEEN = "2026-05-09T14:00:00+00:00"


class Airflow:
    """Airflow's lists: a retraining of each of these models, and the first version of the DAGs of `toy`."""

    def __init__(self, retrained: list[str]) -> None:
        self._retrained = retrained

    def pages(self, path: str, items: str, **asked: Any) -> Iterator[Mapping[str, Any]]:
        if path.endswith("/dagRuns") and asked["dag_id_pattern"] == "%_retrain":
            for name in self._retrained:
                yield {
                    "dag_id": f"{name}_retrain", "dag_run_id": "first", "state": "success", "run_type": "manual",
                    "run_after": SEEN, "start_date": SEEN, "end_date": None, "note": None, "conf": None,
                    "partition_key": None,
                }  # fmt: skip
        if path == "/dags/~/dagVersions":
            assert items == "dag_versions" and asked == {"version_number": 1}
            yield from ({"dag_id": f"toy_{kind}", "created_at": SEEN} for kind in ("collect", "retrain"))


def first_seen(retrained: list[str]) -> Mapping[str, datetime] | None:
    found = airflow_runs.runs(cast(AirflowApi, Airflow(retrained)), NOW)
    assert found is not None and found.partial == frozenset()
    return found.first_seen


def test_a_model_without_a_run_is_known_by_its_dag() -> None:
    assert first_seen([]) == {"toy": datetime(2026, 5, 9, 14, tzinfo=UTC)}


def test_models_with_runs_are_not_asked_about() -> None:
    assert first_seen(list(catalog.folders())) is None
