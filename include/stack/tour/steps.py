"""The steps of a tour: what happens, what to look at, and what each of them has to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from include.errors import PerennialError
from include.partitions import earlier, partition, utc_now
from include.progress import Progress
from include.registry.incident_rows import IncidentKind, IncidentRow, Severity
from include.release.action import Action
from include.stack import champion
from include.stack.airflow_answers import Run
from include.stack.first_champions import wait_for_dags
from include.stack.following import Follower, Outcome, RunFailed
from include.stack.layout import Stack
from include.stack.tour import place

if TYPE_CHECKING:
    from include.registry.retraining_requests import RequestRow

BY = "make tour"
SEEDS = range(7, 12)  # another seed gives another fit of the same recipe, which can be worse by chance
STEPS = 5
CHANGED_DAYS = 28  # at the end of the days that are loaded; all trainings before the last step end before them
SHARED = "perennial_watchdog"


class UnexpectedOutcome(PerennialError):
    """A step of the tour did not show what it is there to show."""


class Guide:
    """Explains and runs the steps, one after the other.

    Parameters
    ----------
    follower : of the tour's model, whose folder is at ``folder``.
    pause : called between two steps; a person on a terminal reads and looks meanwhile.
    """

    def __init__(
        self, stack: Stack, follower: Follower, folder: Path, progress: Progress, pause: Callable[[], None]
    ) -> None:
        self.stack, self.follower, self.folder = stack, follower, folder
        self.progress, self.pause = progress, pause
        self.name = follower.model.name
        self.last = follower.newest().key  # asked once: midnight may come
        self.before = earlier(self.last, CHANGED_DAYS)

    def walk(self) -> None:
        """All steps.

        Raises
        ------
        RunFailed : a run failed that should not have.
        UnexpectedOutcome : a run ended in another way than the tour explains.
        """
        steps = (self.champion, self.poor_challenger, self.corrupted_day, self.back, self.drift)
        for number, step in enumerate(steps, 1):
            if number > 1:
                self.pause()
            step(f"\n-- {number}/{STEPS}  ")
        self.pause()

    # -- steps

    def champion(self, title: str) -> None:
        self.say(
            f"{title}A champion\n\n"
            f"{self.folder} is the folder of a model: five files. Airflow finds it without a restart. {self.name}_load "
            f"loads the days for the first training, {self.name}_retrain trains four candidates, the gate judges the "
            f"best one, and {self.name}_release puts it into service.\n"
        )
        place.change(self.folder, earlier(self.before, -1))
        days, last = self.follower.model.training.days_needed + CHANGED_DAYS, partition(self.last, self.zone)
        with self.progress.step("Airflow finds the model") as report:
            wait_for_dags(self.follower, report)
            self.pause_monitor()
        missing = self.follower.missing(days, last)
        with self.progress.bar("load days", len(missing)) as advance:
            self.follower.load(days, advance, missing, last)
        outcome = self.retrain("champion")
        self.require(outcome, "promoted")
        self.say(f"\n{outcome.sentence}\n\n{self.prediction()}")
        self.look(("the run: its tasks, and its note", self.run_page("retrain", "tour__champion")))
        self.look(("the model card", self.page(f"card/{outcome.version}")))
        self.look(("the model on the Models page", self.models_page()))

    def poor_challenger(self, title: str) -> None:
        self.say(
            f"{title}A poor challenger is rejected\n\n"
            "This run trains only the candidate `poor`, which asks a single question about a parcel. The gate scores "
            "it and the champion on the same ten days, which neither has seen.\n"
        )
        outcome = self.retrain("poor", {"candidates": ["baseline", "poor"], "note": f"{BY}: a poor challenger"})
        self.require(outcome, "rejected")
        self.say(f"\n{outcome.sentence}\n\nA rejection is a decision: the run is green. {self.prediction()}")
        self.look(("every check, with figures", self.models_page("#gate")))
        self.look(("the same in the log of the task", f"{self.run_page('retrain', 'tour__poor')}/tasks/gate"))

    def corrupted_day(self, title: str) -> None:
        day = earlier(self.before, self.follower.model.training.days_needed)
        self.say(
            f"{title}A corrupted day goes to quarantine\n\n"
            f"The source now delivers {day} with 40 % of the weights in grams instead of kilograms, and "
            f"{self.name}_collect collects that day.\n"
        )
        place.break_day(self.folder, day)
        run = self.act("collect", "broken", {"partition": day}, fails=True)
        rows, reason = self.quarantined(day)
        if not rows or not run.note.startswith("REJECTED"):
            raise UnexpectedOutcome(f"{day} was not rejected: {run.note or run.state}")
        self.say(
            f"\n{self.outcome(run)}\n\n{rows} rows are in quarantine ({reason}). The run is red, nothing of the day "
            "was published, and training does not see it."
        )
        self.look(("what was found, with figures", self.page(f"validation/{day}")))
        self.look(("the rows, and what is wrong with each", self.models_page(f"/quarantine?day={day}")))
        self.pause()
        self.say("\nThe source is repaired, and the same day is collected again.\n")
        place.repair(self.folder)
        run = self.act("collect", "repaired", {"partition": day})
        self.say(f"\n{self.outcome(run)}")
        self.look(("both runs", f"{self.stack.airflow_url}/dags/{self.name}_collect"))

    def back(self, title: str) -> None:
        before = self.serving()
        self.say(
            f"{title}A rollback, its freeze, and the end of the freeze\n\n"
            f"First, a newer version: the recipe of version {before}, fitted with another seed.\n"
        )
        newer = self.promoted_again()
        self.say(f"\n{newer.sentence}\n\n{self.prediction()}")
        self.pause()
        self.say(f"\nSuppose that version {newer.version} is wrong. A rollback needs a reason, and takes seconds.\n")
        run = self.act("rollback", "rollback", {"action": Action.FREEZE.value, "reason": f"{BY}: it looks wrong"})
        if self.serving() != before:
            raise UnexpectedOutcome(f"version {self.serving()} serves after the rollback, not version {before}")
        self.say(f"\n{self.outcome(run)}\n\n{self.prediction()}")
        self.look(("the run", self.run_page("rollback", "tour__rollback")))
        self.look(("what serves now, and the freeze", self.models_page()))
        self.say("\nPromotion is frozen: a night still trains, but what passes the gate is held.\n")
        held = self.retrain("frozen", self.refresh(SEEDS.stop))
        self.require(held, "held")
        self.say(f"\n{held.sentence}\n\nThe cause is fixed, so the freeze is lifted.\n")
        run = self.act("rollback", "lift", {"action": Action.LIFT.value, "reason": f"{BY}: it is fixed"})
        self.say(f"\n{self.outcome(run)}\n\nThe version that was held is released by hand.\n")
        run = self.act("release", "release", {"version": held.version, "reason": f"{BY}: held by the freeze"})
        self.say(f"\n{self.outcome(run)}\n\n{self.prediction()}")
        self.look(("every decision and every version", self.models_page("#timeline")))
        self.look(
            (
                "all versions in MLflow",
                f"{self.stack.mlflow_url}/#/models/{quote(self.name)}?workflowType=machine_learning",
            )
        )

    def drift(self, title: str) -> None:
        before = self.serving()
        self.say(
            f"{title}The world changes, and the monitor has the model retrained\n\n"
            f"From {earlier(self.before, -1)} on, parcels are heavier and the depots have other delays. These days "
            f"were loaded at the beginning, and version {before} has not learned from them. Nobody starts a training "
            f"now: {self.name}_monitor looks at {self.last}. It compares the day with those that the champion was made "
            "with, and the champion with a newer fit on a week that neither has seen.\n"
        )
        run = self.act("monitor", "monitor", {"partition": self.last})
        found = self.incidents()
        told = [f"  incident {one.number}, {one.severity}: {one.what} {one.how_bad}" for one in found]
        self.say("\n".join([f"\n{self.outcome(run)}\n", *told]))
        self.look(("drift, incidents and performance", self.models_page("#drift")))
        request = self.request()
        if {one.kind for one in found} != {IncidentKind.DRIFT, IncidentKind.STALE} or request is None:
            raise UnexpectedOutcome(f"no drift, or no retraining: {run.note}")
        self.say(
            f"\nThe monitor has started {self.name}_retrain as {request.run_id}. Meanwhile perennial_watchdog sends "
            "what there is to tell to the addresses of the connection perennial_alerts, if there is one. It runs every "
            "ten minutes, and here at once.\n"
        )
        self.tell()
        with self.progress.step(f"{self.name}: retrain and release") as report:
            outcome = self.follower.started(request.run_id, report)
        self.require(outcome, "promoted")
        self.say(f"\n{outcome.sentence}\nWhy it was trained: {request.reason}\n\n{self.prediction()}")
        self.look(("the run that nobody started", self.run_page("retrain", request.run_id)))
        self.say("\nThe monitor looks once more.\n")
        run = self.act("monitor", "monitor_again", {"partition": self.last})
        left = self.incidents()
        if IncidentKind.STALE in {one.kind for one in left}:
            raise UnexpectedOutcome(f"the champion is still stale: {run.note}")
        self.say(
            f"\n{self.outcome(run)}\n\nThe champion is not stale any more, and its incident is over. "
            f"{self.last} still differs from the days that its version was made with: "
            f"{'an incident stays' if len(left) == 1 else f'{len(left)} incidents stay'} open until a later day is "
            "measured.\n"
        )
        self.tell()
        self.look(("every incident, and what was done", self.models_page("#incidents")))

    # -- what the steps have in common

    def say(self, text: str) -> None:
        self.progress.say(text)

    def look(self, page: tuple[str, str]) -> None:
        """Name a page to look at."""
        self.say(f"  look at {page[0]}: {page[1]}")

    def run_page(self, kind: str, run_id: str) -> str:
        return f"{self.stack.airflow_url}/dags/{self.name}_{kind}/runs/{quote(run_id)}"

    def models_page(self, rest: str = "") -> str:
        """The page of the model in Airflow, below the address that the plugin registers."""
        return f"{self.stack.airflow_url}/plugin/models/perennial/-/models/{self.name}{rest}"

    def page(self, path: str) -> str:
        return f"{self.stack.airflow_url}/perennial/{self.name}/{path}"

    def retrain(self, what: str, conf: Mapping[str, object] | None = None) -> Outcome:
        """Retrain on the days before the change."""
        asked = {"as_of": self.before, **(conf or {})}
        with self.progress.step(f"{self.name}: retrain and release") as report:
            return self.follower.retrain(f"tour__{what}", report, unpause=True, conf=asked)

    def act(self, kind: str, what: str, conf: Mapping[str, object], fails: bool = False) -> Run:
        """Run a DAG of the model to its end; ``fails``: it is expected to fail."""
        dag_id, run_id = f"{self.name}_{kind}", f"tour__{what}"
        with self.progress.step(dag_id) as report:
            try:
                return self.follower.act(dag_id, run_id, report, conf, unpause=True)
            except RunFailed:
                run = self.follower.patiently(lambda: self.follower.api.run(dag_id, run_id))
                if not fails or run is None or run.state != "failed":
                    raise
                return run

    @staticmethod
    def outcome(run: Run) -> str:
        """The outcome that a run's note begins with."""
        return " ".join(run.note.split("\n\n")[0].split()) or f"run {run.dag_run_id}: {run.state}"

    @staticmethod
    def require(outcome: Outcome, verdict: str) -> None:
        if outcome.verdict != verdict:
            raise UnexpectedOutcome(f"expected: {verdict}. {outcome.sentence}")

    def refresh(self, seed: int) -> dict[str, object]:
        """The parameters of a night that fits the champion's recipe with another seed."""
        from include.registry.ledger import Ledger

        row = Ledger.default().version(self.name, self.serving())
        candidate = row.candidate if row else "boosting"
        return {"candidates": ["baseline", candidate], "seed": seed, "note": f"{BY}: seed {seed}"}

    def promoted_again(self) -> Outcome:
        """A newer version in service. A refit can be worse by chance; then another seed is tried."""
        outcome: Outcome | None = None
        for seed in SEEDS:
            outcome = self.retrain(f"newer_{seed}", self.refresh(seed))
            if outcome.verdict == "promoted":
                return outcome
            self.say(f"{outcome.sentence}\nAnother seed is tried.")
        raise UnexpectedOutcome(f"no refit was promoted. {outcome.sentence if outcome else ''}")

    def tell(self) -> None:
        """Send the messages that are due, unless somebody has paused the watchdog. The tour goes on without them."""
        dag = self.follower.patiently(lambda: self.follower.api.dag(SHARED))
        if dag is None or dag.is_paused:
            self.say(f"{SHARED} is paused in Airflow, so no message is sent.")
            return
        with self.progress.step(SHARED) as report:
            try:
                self.follower.act(SHARED, f"make_tour__{utc_now():%Y-%m-%dT%H-%M-%S}", report)
            except RunFailed as failure:
                self.say(f"warning: {failure}")

    def pause_monitor(self) -> None:
        """Until the last step: a look before it would find what the change has done."""
        api, dag_id = self.follower.api, f"{self.name}_monitor"
        while self.follower.patiently(lambda: api.dag(dag_id)) is None:
            self.follower.pause()
        self.follower.patiently(lambda: api.pause(dag_id))

    @property
    def zone(self) -> str:
        return self.follower.model.timezone

    def incidents(self) -> list[IncidentRow]:
        """What the monitor has found and is not over, worst first."""
        from include.registry.incidents import Incidents

        rows = self.follower.patiently(lambda: Incidents.default().open(self.name))
        ours = [row for row in rows if row.kind in (IncidentKind.DATA, IncidentKind.DRIFT, IncidentKind.STALE)]
        return sorted(ours, key=lambda row: (row.severity != Severity.CRITICAL, row.number))

    def request(self) -> RequestRow | None:
        """The retraining that the monitor has asked for and was granted."""
        from include.registry.retraining_requests import RetrainingRequests

        row = self.follower.patiently(lambda: RetrainingRequests.default().newest(self.name))
        return row if row is not None and row.granted and row.as_of == self.last else None

    def serving(self) -> int:
        """The version that serves, by the ledger."""
        from include.registry.ledger import Ledger

        return self.follower.patiently(lambda: Ledger.default().standing(self.name)).version or 0

    def prediction(self) -> str:
        """What the model server answers now."""
        from include.registry.ledger import Ledger

        def wanted() -> tuple[int, str] | None:
            row = Ledger.default().champion(self.name)
            return (row.version, row.digest) if row else None

        answer = champion.ask(self.stack, self.name, wanted, self.follower.check)
        if answer is None:
            raise UnexpectedOutcome(f"nothing serves {self.name}")
        score = answer.body["predictions"][0]["score"]
        return (
            f"The model server answers with version {answer.version}: a parcel of the sample is late with {score:.3f}."
        )

    def quarantined(self, day: str) -> tuple[int, str]:
        """How many rows of a day are in quarantine, and the expectation that most of them failed."""
        from include.data.lake import Lake

        rows = Lake.of(self.follower.model).read_quarantine(day)
        return len(rows), str(rows["_expectation"].mode()[0]) if len(rows) else ""
