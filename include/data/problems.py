"""What a task for all models could not do for one of them: it goes on with the others, and fails at its end."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from include import catalog
from include.errors import ConfigurationError, IntegrityError, PerennialError, TransientError
from include.records import Record
from include.spec import Model

LONGEST_REASON = 300


class Problem(Record):
    """Why the work for a model could not all be done; ``retry``: a later try can succeed without a person."""

    model: str
    reason: str
    retry: bool


@contextmanager
def reported(model: str, what: str, problems: list[Problem], log: logging.Logger) -> Iterator[None]:
    """Turn any error into a problem of this model.

    Parameters
    ----------
    what : the sentence for the log, without the model: "The predictions of %s could not all be loaded."
    """
    try:
        yield
    except Exception as error:
        log.exception(what, model)
        retry = isinstance(error, TransientError | ConnectionError | TimeoutError)
        problems.append(Problem(model=model, reason=short(error), retry=retry))


def require_none(problems: Sequence[Problem], what: str, note: str) -> None:
    """Raise if there is a problem.

    Parameters
    ----------
    what : "the predictions of {models} could not all be loaded".
    note : what was done nevertheless; the end of the message.

    Raises
    ------
    TransientError, IntegrityError : the reason of each problem; transient if a later try can succeed.
    """
    if not problems:
        return
    names = sorted({one.model for one in problems})
    models = names[0] if len(names) == 1 else f"{len(names)} models"
    reasons = " ".join(f"{one.model}: {one.reason}" for one in problems)
    kind = TransientError if any(one.retry for one in problems) else IntegrityError
    raise kind(f"{what.format(models=models)}. {reasons} {note}".strip())


def model_or_reason(name: str) -> Model | str:
    """The model of this name, or why it does not load."""
    try:
        return catalog.load(name)
    except (ConfigurationError, FileNotFoundError) as error:  # the latter: its folder is removed at this moment
        return short(error)


def short(error: Exception) -> str:
    """The message of an error in one line, without its end if it is long."""
    kind = "" if isinstance(error, PerennialError) else f"{type(error).__name__}: "
    line = " ".join(f"{kind}{error}".split()).rstrip(".")
    return f"{line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 4] + ' ...'}."


def many(count: int, noun: str) -> str:
    """The count with its noun, in the plural if it is not one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
