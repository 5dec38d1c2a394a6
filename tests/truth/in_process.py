"""Nights with a known expected outcome, in this process: the tasks of the real DAGs, one after the other."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import include.models
from include.cards import plots
from include.data.lake import Lake
from include.registry.ledger import Ledger
from tests.plugins import in_process
from tests.plugins.in_process import RunEnded
from tests.services import Services
from tests.truth.cases import CASES, MAKE_CHAMPIONS, Case
from tests.truth.patient import Outcome, Patient, admitted


@dataclass
class InProcess(Patient):
    """A patient whose DAGs run in this process; ``dags`` are the DAGs of the copy, by kind."""

    dags: Mapping[str, Any]

    def retrain(self, as_of: str, **conf: Any) -> Outcome:
        ledger, began = Ledger.default(), time.monotonic()
        before = ledger.standing(self.name).version
        ended, run_id = self._run("retrain", {"as_of": as_of, "candidates": [self.world.recipe], **conf})
        if "release" in ended.tasks and ended.tasks["release"].state == "success":
            (release,) = ended.tasks["release"].triggered
            digest = ended.xcoms["package", "return_value"]["digest"]
            version, epoch = int(release.conf["version"]), int(release.conf["expected_epoch"])
            ledger.promote(self.name, version, digest, epoch, "perennial", release.run_id, release.conf["reason"])
        decision = ended.xcoms.get(("gate", "return_value"), {})
        recorded = ledger.last_decision(self.name)
        return replace(
            self._outcome(ended, began),
            verdict=decision.get("verdict"),
            reason=decision.get("reason", ""),
            recorded=recorded.verdict if recorded and recorded.run_id == run_id else None,
            champions=(before, ledger.standing(self.name).version),
        )

    def collect(self, day: str, damage: str) -> Outcome:
        began = time.monotonic()
        return self.damaged_source(damage, lambda: self._outcome(self._run("collect", {"partition": day})[0], began))

    def _run(self, kind: str, conf: dict[str, Any]) -> tuple[RunEnded, str]:
        run_id = f"truth__{uuid.uuid4().hex[:12]}"
        with pytest.MonkeyPatch.context() as patch:
            return in_process.run_dag(self.dags[kind], conf, patch=patch, run_id=run_id), run_id

    @staticmethod
    def _outcome(ended: RunEnded, began: float) -> Outcome:
        return Outcome(
            state=ended.state,
            note=ended.note,
            states={task: one.state for task, one in ended.tasks.items()},
            # a task that would be retried has neither state `success` nor `failed` here
            tries=dict.fromkeys(ended.tasks, 1),
            seconds=time.monotonic() - began,
            logs=ended.logs,
        )


@dataclass(frozen=True)
class State:
    """The state at the start of a night: a home (lake, bundles), a ledger, and the outcome of the run before it."""

    patient: InProcess
    home: Path
    database: str
    outcome: Outcome | None = None


class Nights:
    """The three models and the start states of their nights: created on first use, copied for each night.

    Every case is independent: it starts with healthy days and with the champion that the order of `CASES` gives.
    """

    def __init__(self, services: Services, folder: Path) -> None:
        self._services = services
        self._folder = folder
        self._copies = folder / "models"
        self._copies.mkdir()
        self._states: dict[tuple[str, str | None], State | BaseException] = {}

    def run(self, real: str, case: Case) -> Outcome:
        """How the night of this case ended."""
        if case.name in MAKE_CHAMPIONS:
            found = self._state(real, case.name).outcome
            assert found is not None
            return found
        return self._night(self._state(real, champion_before(case)), case).outcome  # type: ignore[return-value]

    def _state(self, real: str, champion: str | None) -> State:
        """The state after this case of `MAKE_CHAMPIONS`, or (``None``) before all of them."""
        if (real, champion) not in self._states:
            try:
                self._states[real, champion] = self._made(real, champion)
            except BaseException as problem:
                self._states[real, champion] = problem
        found = self._states[real, champion]
        if isinstance(found, BaseException):
            raise found
        return found

    def _made(self, real: str, champion: str | None) -> State:
        if champion is None:
            return self._admitted(real)
        case = next(case for case in CASES if case.name == champion)
        return self._night(self._state(real, champion_before(case)), case)

    def _admitted(self, real: str) -> State:
        home, database = self._folder / f"{real}-admitted", f"truth_{real}"
        home.mkdir()
        with self._at(home, self._services.new_database(database)):
            Ledger.default().migrate()
            known = admitted(real, self._copies)
            # Parsed as by Airflow: the files of `dags/` find the copies on the path of all models.
            dags = {kind: in_process.parsed(f"{kind}.py").dags for kind in ("collect", "retrain")}
        wanted = {kind: found[f"{known['model'].name}_{kind}"] for kind, found in dags.items()}
        return State(InProcess(**known, dags=wanted), home, database)

    def _night(self, begin: State, case: Case) -> State:
        name = f"truth_{uuid.uuid4().hex[:12]}"
        home = self._folder / name
        shutil.copytree(begin.home, home)
        with self._at(home, self._services.new_database(name, begin.database)):
            patient = replace(begin.patient, lake=Lake.of(begin.patient.model))
            return State(patient, home, name, case.run(patient))

    @contextmanager
    def _at(self, home: Path, database: str) -> Iterator[None]:
        ours = {**self._services.environment(), "PERENNIAL_DATABASE_URL": database, "PERENNIAL_HOME": str(home)}
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in ours.items():
                patch.setenv(variable, value)
            patch.setattr(include.models, "__path__", [*include.models.__path__, str(self._copies)])
            patch.setattr(plots, "draw", lambda *_: {})  # no verdict depends on the pictures
            yield


def champion_before(case: Case) -> str | None:
    """The last of `MAKE_CHAMPIONS` before this case: its champion serves when the night begins."""
    names = [c.name for c in CASES[: CASES.index(case)] if c.name in MAKE_CHAMPIONS]
    return names[-1] if names else None
