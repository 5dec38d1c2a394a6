"""Shared by all operators: the model, the run's dates, the retry policy, the run's note and the check of the code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseOperator
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

from include import catalog
from include.errors import ConfigurationError, PerennialError, TransientError
from include.partitions import Partition, RunDates
from include.spec import Model
from perennial import notes
from perennial.parameters import Parameters

if TYPE_CHECKING:
    from airflow.sdk import Context

P = TypeVar("P", bound=Parameters)

AUTOMATIC = "perennial"
"""The actor of everything that a schedule or another of our runs starts (as in the ledger)."""
BY_HAND = "manual"

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=[TransientError, ConnectionError, TimeoutError],
            action=RetryAction.RETRY,
            retry_delay=timedelta(seconds=10),
            reason="a service did not answer; the same call may succeed later",
        ),
        RetryRule(
            exception=PerennialError,
            action=RetryAction.FAIL,
            reason="the input or the configuration is wrong; a retry would read the same",
        ),
    ]
)
"""Retry lost connections, fail at once on bad data, and follow the task's ``retries`` for any other error."""


def run_dates(context: Context) -> RunDates:
    """The dates of the run, for `include.partitions`. Only this function reads dates from a context."""
    run: Any = context["dag_run"]
    return RunDates(run_after=run.run_after, partition_key=run.partition_key, logical_date=run.logical_date)


def asked(context: Context, kind: type[P]) -> P:
    """The parameters of the run, typed and within bounds; an invalid one ends the task at once.

    Raises
    ------
    ConfigurationError : see `Parameters.of`; also offered as the run's note.
    """
    with reason_noted(context):
        return kind.of(context["ti"].dag_id, context["params"])


def actor(context: Context) -> str:
    """The actor recorded in the audit: the user who triggered the run, or `AUTOMATIC`.

    Only Airflow's own record counts: the kind of the run, and the user whose login triggered it. A run's
    conf is chosen by the caller. A run that another run started inherits the user of that run, who did not
    ask for it, so it is automatic. No login can pass as `AUTOMATIC`, whose promotions a freeze stops.
    """
    run: Any = context["dag_run"]
    if run.run_type != BY_HAND:
        return AUTOMATIC
    user = str(run.triggering_user_name or "").strip()
    return f"user {user}" if user == AUTOMATIC else user or BY_HAND


def require_begun(model: Model, about: Partition, context: Context) -> None:
    """Refuse a day before the model's first one, for every caller. Only a scheduled run can be about the day before.

    Raises
    ------
    ConfigurationError : ``about`` is before ``model.start``.
    """
    run: Any = context["dag_run"]
    if about.date < model.start and run.run_type != "scheduled":
        raise ConfigurationError(
            f"{model.name} begins on {model.start} (`start` in its model.py): it has no partition {about.key}. "
            f"Ask for a later day."
        )


def write_note(context: Context, sentence: str) -> None:
    """Offer a sentence as the note of the run (the last one offered wins). It begins with one of `notes.WORDS`."""
    context["ti"].xcom_push(key=notes.KEY, value=sentence)


def failure(context: Context, error: PerennialError) -> str:
    """The outcome of a task that fails, for the note of the run."""
    return f"FAILED in `{context['ti'].task_id}`: {' '.join(str(error).split())}"


@contextmanager
def reason_noted(context: Context) -> Iterator[None]:
    """Offer the error that ends a task as the note of its run, because people look there for the cause of a red run.

    A lost connection is not noted as long as the task is retried.
    """
    try:
        yield
    except PerennialError as error:
        task: Any = context["ti"]
        if not isinstance(error, TransientError) or task.try_number > task.max_tries:
            write_note(context, failure(context, error))
        raise


def require_same_code(model: str, begun_with: str) -> None:
    """Refuse to continue if the code has changed since the run began.

    Raises
    ------
    ConfigurationError : the content digest of `include/` and the model's folder differs from the snapshot's.
    """
    now = catalog.digest(model)
    if now != begun_with:
        raise ConfigurationError(
            f"the code changed during the run: it began with content digest {begun_with[:12]} and is now "
            f"{now[:12]} (include/ or the folder of {model}). One version must come from one code: "
            f"trigger {model}_retrain again, or clear this run from `snapshot` onwards."
        )


class PerennialOperator(BaseOperator):
    """An operator about one model.

    Parameters
    ----------
    model : name of the model; its folder is loaded when the task runs, not when the DAG is parsed.
    """

    ui_color = "#e8f5ee"
    ui_fgcolor = "#12372a"

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def load(self) -> Model:
        """The declared model."""
        return catalog.load(self.model)
