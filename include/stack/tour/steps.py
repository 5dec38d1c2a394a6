"""The steps of a tour: what happens, what to look at, and what each of them has to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from include.errors import PerennialError
from include.partitions import shift
from include.progress import Progress
from include.release.action import Action
from include.stack import champion
from include.stack.airflow_answers import Run
from include.stack.first_champions import wait_for_dags
from include.stack.following import Follower, Outcome, RunFailed
from include.stack.layout import Stack
from include.stack.tour import place

BY = "make tour"
SEEDS = range(7, 12)  # another seed gives another fit of the same recipe, which can be worse by chance
STEPS = 4


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

    def walk(self) -> None:
        """All steps.

        Raises
        ------
        RunFailed : a run failed that should not have.
        UnexpectedOutcome : a run ended in another way than the tour explains.
        """
        for number, step in enumerate((self.champion, self.poor_challenger, self.corrupted_day, self.back), 1):
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
        days = self.follower.model.training.days_needed
        with self.progress.step("Airflow finds the model") as report:
            wait_for_dags(self.follower, report)
        last = self.follower.newest()
        missing = self.follower.missing(days, last)
        with self.progress.bar("load days", len(missing)) as advance:
            self.follower.load(days, advance, missing, last)
        outcome = self.retrain("champion", {"as_of": last.key})
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
        model = self.follower.model
        day = shift(self.follower.newest(), -model.training.days_needed, model.timezone).key
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
        self.look(("all versions in MLflow", f"{self.stack.mlflow_url}/#/models/{quote(self.name)}"))

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

    def retrain(self, what: str, conf: Mapping[str, object]) -> Outcome:
        with self.progress.step(f"{self.name}: retrain and release") as report:
            return self.follower.retrain(f"tour__{what}", report, unpause=True, conf=conf)

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
