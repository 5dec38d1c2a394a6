"""Nights whose right outcome is known, on a real Airflow."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.partitions import utc_now
from include.registry.ledger import Ledger
from tests.end_to_end.stack_runner import Api
from tests.truth.patient import Outcome, Patient, admitted


@dataclass
class OnAirflow(Patient):
    """A patient whose DAGs the stack of ``api`` runs."""

    api: Api

    @classmethod
    def admit(cls, api: Api, real: str, folder: Path) -> OnAirflow:
        """Publish the days of a model, copy it into the models folder of the stack, and wait for its DAGs."""
        known = cls(**admitted(real, folder), api=api)
        deadline, since = time.monotonic() + 600, utc_now()
        for kind in ("collect", "retrain", "release"):
            while (dag := api.dag(f"{known.name}_{kind}")) is None or dag.is_stale:
                assert time.monotonic() < deadline, api.import_errors(since)
                time.sleep(0.3)
            api.unpause(f"{known.name}_{kind}")
        return known

    def retrain(self, as_of: str, **conf: Any) -> Outcome:
        dag, run_id, began = f"{self.name}_retrain", f"truth__{uuid.uuid4().hex[:12]}", time.monotonic()
        ledger = Ledger.default()
        before = ledger.standing(self.name).version
        conf_of_run = {"as_of": as_of, "candidates": [self.world.recipe], **conf}
        run = self.api.trigger_and_wait(dag, run_id, conf_of_run)
        states, tries = self.api.states(dag, run_id), self.api.tries(dag, run_id)
        decision = self.api.xcom(dag, run_id, "gate") if states.get("gate") == "success" else {}
        if decision.get("verdict") == "promote" and states.get("release") == "success":
            release = self.api.xcom(dag, run_id, "release", key="trigger_run_id")
            assert self.api.wait(f"{self.name}_release", release).state == "success"
        logs = {
            task.task_id: self.api.log(dag, run_id, task.task_id, 1, task.map_index)
            for task in self.api.tasks(dag, run_id)
            if task.state == "failed" or (task.task_id in ("gate", "select") and task.state == "success")
        }
        recorded = ledger.last_decision(self.name)
        return Outcome(
            state=run.state,
            note=run.note or "",
            states=states,
            tries=tries,
            verdict=decision.get("verdict"),
            reason=decision.get("reason", ""),
            recorded=recorded.verdict if recorded and recorded.run_id == run_id else None,
            champions=(before, ledger.standing(self.name).version),
            seconds=time.monotonic() - began,
            logs=logs,
        )

    def collect(self, day: str, damage: str) -> Outcome:
        dag, run_id, began = f"{self.name}_collect", f"truth__{uuid.uuid4().hex[:12]}", time.monotonic()

        def collected() -> Outcome:
            run = self.api.trigger_and_wait(dag, run_id, {"partition": day})
            return Outcome(
                state=run.state,
                note=run.note or "",
                states=self.api.states(dag, run_id),
                tries=self.api.tries(dag, run_id),
                seconds=time.monotonic() - began,
            )

        return self.damaged_source(damage, collected)
