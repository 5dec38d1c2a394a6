"""The tasks of `<model>_load`: plan the days, load them in chunks, summarize the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseHook
from airflow.sdk.configuration import conf

from include.errors import ConfigurationError, DataError, TransientError
from include.partitions import Partition, newest_closed, partition, shift, utc_now
from perennial.links import ValidationLink, set_link
from perennial.operators.base import PerennialOperator, asked, reason_noted, run_dates, write_note
from perennial.parameters import LOAD_TASKS_AT_A_TIME, MOST_LOAD_TASKS, LoadParameters

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.data.loading import Loaded, LoadedDay
    from include.spec import Model

PATIENCE = 120.0  # seconds that a load waits for collect runs that work on its days
SHOWN = 4  # days that a note lists with their reason
SHORT = 120  # characters of a reason in a note


class PlanLoadOperator(PerennialOperator):
    """Choose the days of the run and distribute them over tasks; returns a list of partition keys for each task."""

    def execute(self, context: Context) -> list[list[str]]:
        from include.data import loading

        model, wanted = self.load(), asked(context, LoadParameters)
        with reason_noted(context):
            first, last = _span(model, wanted, context)
            keys = loading.wanted(model, first, last, only_missing=wanted.days == "missing")
            size = wanted.days_per_task or loading.days_per_task(len(keys), LOAD_TASKS_AT_A_TIME)
            chunks = loading.chunks(keys, size)
            if len(chunks) > MOST_LOAD_TASKS:
                raise ConfigurationError(
                    f"{len(keys)} days with {size} days per task are {len(chunks)} tasks, and a run "
                    f"has at most {MOST_LOAD_TASKS}. Give at least {-(-len(keys) // MOST_LOAD_TASKS)} days per task."
                )
        if keys:
            self.log.info("%d days from %s to %s, in %d tasks.", len(keys), keys[0], keys[-1], len(chunks))
        else:
            self.log.info("Every day from %s to %s is in the lake.", first.key, last.key)
        return chunks


class LoadOperator(PerennialOperator):
    """Fetch, validate and publish some days.

    A source that does not answer is asked again by the retries of the task, which skip what is published by then.
    Rejected days do not fail the task: the run's note and the button *Validation result* lead to the first of them.
    """

    template_fields: Sequence[str] = ("keys",)
    operator_extra_links: ClassVar[Any] = (ValidationLink(),)

    def __init__(self, *, keys: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keys = keys

    @property
    def span(self) -> str:
        """First and last day, for the list of mapped tasks."""
        return f"{self.keys[0]} to {self.keys[-1]}"

    def execute(self, context: Context) -> dict[str, object]:
        from include.data import loading

        run: Any = context["dag_run"]
        task: Any = context["ti"]
        model = self.load()
        connections = {name: BaseHook.get_connection(name).get_uri() for name in model.data.connections}
        loaded = loading.load(
            model,
            list(self.keys),
            connections,
            utc_now,
            since=run.start_date,
            patience=PATIENCE,
            report=self.log.info,
            run_id=context["run_id"],
        )
        if rejected := loaded.ended(loading.Outcome.REJECTED):
            set_link(self, ValidationLink, _result(self.model, rejected[0].partition))
        unanswered = loaded.ended(loading.Outcome.UNANSWERED)
        if unanswered and task.try_number <= task.max_tries:
            raise TransientError(
                f"the source of {self.model} did not answer for {len(unanswered)} of {len(loaded.days)} days, first "
                f"{unanswered[0].partition}: {unanswered[0].reason}"
            )
        return loaded.as_dict()


class LoadSummaryOperator(PerennialOperator):
    """Note the outcome of each day; fails if nothing was loaded, or too little for a training.

    Parameters
    ----------
    planned : the lists of keys of `PlanLoadOperator`. loaded : what the tasks have returned, of those that succeeded.
    """

    template_fields: Sequence[str] = ("planned", "loaded")

    def __init__(self, *, planned: Any, loaded: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.planned = planned
        self.loaded = loaded

    def execute(self, context: Context) -> dict[str, object]:
        from include.data import loading
        from include.retraining import planning

        model = self.load()
        keys = [key for chunk in self.planned or () for key in chunk]
        loaded = loading.together(keys, [loading.Loaded.of(part) for part in self.loaded or () if part])
        as_of = newest_closed(run_dates(context).moment, model.timezone, model.data.label.delay)
        missing = planning.shortfall(model, as_of) if loaded.left_out else None
        nothing = bool(loaded.days) and len(loaded.left_out) == len(loaded.days)
        note = _note(model, loaded, missing, failed=nothing or bool(missing))
        write_note(context, note)
        self.log.info("%s", note)
        if nothing:
            raise DataError(f"nothing was loaded. {_reasons(model.name, loaded.left_out, plain=True)}")
        if missing:
            raise DataError(f"{loading.day_count(len(loaded.left_out))} not loaded, and {missing}")
        return loaded.as_dict()


def _span(model: Model, wanted: LoadParameters, context: Context) -> tuple[Partition, Partition]:
    """The first and the last day of the run: as asked, else those that a first training needs."""
    newest = newest_closed(run_dates(context).moment, model.timezone, model.data.label.delay)
    last = partition(wanted.last, model.timezone) if wanted.last else newest
    last.require_over(utc_now())
    if wanted.first:
        first = partition(wanted.first, model.timezone)
    else:
        first = shift(last, 1 - model.training.days_needed, model.timezone)
    if first > last:
        raise ConfigurationError(f"first is {first.key}, after last, {last.key}: exchange them.")
    if last.date < model.start:
        raise ConfigurationError(
            f"{model.name} begins on {model.start} (`start` in its model.py): it has no days from {first.key} to "
            f"{last.key}. Ask for later days."
        )
    return max(first, partition(model.start, model.timezone)), last


def _note(model: Model, loaded: Loaded, missing: str | None, *, failed: bool) -> str:
    if not loaded.days:
        return "NOTHING TO LOAD: every day is in the lake."
    from include.data.loading import day_count

    done = len(loaded.days) - len(loaded.left_out)
    first, last = loaded.days[0].partition, loaded.days[-1].partition
    quarantined = sum(day.quarantined for day in loaded.days)
    lines = [
        f"{'FAILED in `summary`: loaded' if failed else 'LOADED'} {done} of {day_count(len(loaded.days))} ({first} to "
        f"{last}): {loaded.rows:,} rows, {quarantined:,} rows in quarantine."
    ]
    if loaded.left_out:
        lines.append(_reasons(model.name, loaded.left_out))
        if missing:
            lines.append(f"Not enough for a training: {missing}")
        elif done:
            lines.append("The rest is enough for a training.")
    return " ".join(lines)  # one paragraph: Airflow shows only the first one of a note at once


def _reasons(name: str, days: Sequence[LoadedDay], plain: bool = False) -> str:
    """The first days that were not loaded, each with its reason, and the keys of the others."""
    from include.data.loading import Outcome

    found = []
    for day in days[:SHOWN]:
        about = day.partition
        if day.outcome is Outcome.REJECTED and not plain:
            about = f"[{about}]({_address(_result(name, about))})"
        reason = day.reason if len(day.reason) <= SHORT else f"{day.reason[: SHORT - 3]}..."
        found.append(f"{about} {day.outcome}: {reason}")
    if others := [day.partition for day in days[SHOWN:]]:
        found.append(f"{len(others)} more: {', '.join(others[:SHOWN])}{', ...' if len(others) > SHOWN else ''}")
    return f"{'; '.join(found)}."


def _result(model: str, key: str) -> str:
    """The path of the newest validation result of a day."""
    return f"/perennial/{model}/validation/{key}"


def _address(path: str) -> str:
    return conf.get("api", "base_url", fallback="").rstrip("/") + path
