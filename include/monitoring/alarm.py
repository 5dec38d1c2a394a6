"""The rule that turns days into an alarm: enough of the newest days are beyond a limit, and the newest one is.

One day beyond a limit is usual: the limit is the largest distance of some 90 days of a reference, so one in 90 healthy
days exceeds it. Three of five days are not (compare `metric_violation_check` of databricks/mlops-stacks: at least N of
the M newest windows, and the newest).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from include.data.monitoring import Measured
from include.monitoring.wording import count
from include.records import PartitionKey, Record
from include.spec import Monitoring
from include.statistics.results import Result, State

Series = Mapping[tuple[str, str], Sequence[Measured]]


class Alarm(Record):
    """What the rule finds about one subject and measure.

    Attributes
    ----------
    state : ``violated``: it fires. ``unknown``: the newest day is not known; it neither fires nor is it over.
    lingers : it does not fire, and is not known to be over: the newest day is within its limits, but as many days as
        the rule needs are beyond (one good day in between makes no second incident), or the newest day is unknown and
        the last known one was beyond.
    since : the first day of the spell; ``""`` if no day is beyond.
    beyond, known : days beyond the limit, and days with a known state, among the last ``of_days``.
    newest : the result of the newest day; None without one.
    sentence : the same for people.
    """

    subject: str
    measure: str
    state: State
    lingers: bool = False
    since: PartitionKey | None = None
    beyond: int
    known: int
    newest: Result | None
    sentence: str

    @property
    def fires(self) -> bool:
        return self.state is State.VIOLATED


def series(rows: Sequence[Measured]) -> dict[tuple[str, str], list[Measured]]:
    """The rows of whole days by subject and measure, oldest first; of several of a day that of the newest version."""
    found: dict[tuple[str, str], dict[str, Measured]] = {}
    for one in sorted(rows, key=lambda row: (row.partition, row.version or 0)):
        if not one.slice:
            found.setdefault((one.result.subject, one.result.measure), {})[one.partition] = one
    return {key: list(days.values()) for key, days in found.items()}


def judge(
    days: Sequence[Measured], subject: str, measure: str, key: str, declared: Monitoring, version: int | None = None
) -> Alarm:
    """Apply the rule to the days up to ``key``.

    Days whose state is unknown count neither as beyond nor as within. ``of_days`` are days of the calendar.

    Parameters
    ----------
    days : the rows of this subject and measure, as `series` gives them; later ones than ``key`` are ignored.
    version : count only days of this version (staleness is a property of one champion); None: of any version, each
        judged by its own reference (a model that retrains every night would otherwise never have two days).
    """
    there = [one for one in days if one.partition <= key and (version is None or one.version == version)]
    first = (date.fromisoformat(key) - timedelta(days=declared.of_days - 1)).isoformat()
    known = [one for one in there if one.partition >= first and one.result.known]
    beyond = [one for one in known if one.result.violated]
    newest = there[-1].result if there and there[-1].partition == key else None
    enough = len(beyond) >= declared.alarm_days
    since = _since([one.partition for one in there if one.result.violated], declared.of_days) if beyond else None
    if newest is None or not newest.known:
        state = State.UNKNOWN
    else:
        state = State.VIOLATED if enough and newest.violated else State.HEALTHY
    last = [one.result for one in there if one.result.known][-1:]
    unsure = newest is not None and not newest.known and bool(last) and last[0].violated
    return Alarm(
        subject=subject,
        measure=measure,
        state=state,
        lingers=unsure or (enough and state is State.HEALTHY),
        since=since,
        beyond=len(beyond),
        known=len(known),
        newest=newest,
        sentence=_sentence(subject or measure, len(beyond), since, state, declared),
    )


def _since(violated: Sequence[str], of_days: int) -> str | None:
    """The first day of the spell that lasts until now: no more than ``of_days`` between two days beyond the limit."""
    since: str | None = None
    for key in reversed(violated):
        if since is not None and (date.fromisoformat(since) - date.fromisoformat(key)).days > of_days:
            break
        since = key
    return since


def _sentence(name: str, beyond: int, since: str | None, state: State, declared: Monitoring) -> str:
    among = f"{beyond} of the last {count(declared.of_days, 'day')}"
    if state is State.UNKNOWN:
        return f"{name} is not known for the newest day; it was beyond its limit on {among}"
    if state is State.VIOLATED and declared.of_days == 1:
        return f"{name} was beyond its limit on {since}"
    if state is State.VIOLATED:
        return f"{name} was beyond its limit on {among}, the newest one included, since {since}"
    return f"{name} was beyond its limit on {among}; an alarm needs {declared.alarm_days}, the newest one included"
