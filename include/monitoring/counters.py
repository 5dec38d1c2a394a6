"""Counters of a day: rows, missing and strange values, duplicates, a source that repeats itself, and the service.

Each has a limit of its own from the days of the reference. What a counter finds is mostly damage of the data: it alerts
and never retrains, because a model that is fitted on damaged rows is worse.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from pydantic import Field

from include.monitoring.drift import DAMAGED_DAY, DAMAGED_SCORE
from include.monitoring.shares import limit_of, room
from include.monitoring.wording import count, number, percent
from include.records import Record
from include.statistics.profiles import Bins, Categories, Numbers
from include.statistics.reference import ENOUGH_DAYS, DayProfile, FeatureReference, Reference, fewest_of
from include.statistics.results import Cause, Result, State

FORMULA = 1
GROSS = 0.5
"""From this share of the rows on a violated limit pages a person at once."""
GROSSLY_OUTSIDE = 0.9
"""The same for values that are far outside of their range. An input such as rain, which is 0 on most days, can have
most of its values there on a healthy day (73 % on one day of 180); in another unit all of them are."""
SHARES = ("missing", "out_of_range", "unseen_categories", "duplicates", "quarantined", "prediction_errors")
FEW_ROWS, MANY_ROWS = 0.75, 1.5
"""A day may have from three quarters of the rows of the smallest day of the reference to one and a half times those of
the largest."""
GROSSLY_FEW, GROSSLY_MANY = 0.5, 2.0
"""The limits of the guards of a refit (`include.training.refit.guard_days`): beyond them a person is paged."""
MOST_ERRORS = 0.01
"""The share of requests that may fail."""
SLOWER = 2
"""The latency may be so many times the largest of the usual days."""
FEWEST_REQUESTS, FEWEST_ANSWERS = 20, 100
"""Fewer requests give no share of failures (a single failure would be beyond its limit), and fewer answers give no 99 %
quantile (it would be the slowest of them)."""
SMALLEST_DUPLICATES = 0.001
FEWEST_REPEATED = 10
"""Rows below which two days can be equal by chance."""


class DayFacts(Record):
    """What is known about a day apart from the values of its rows.

    Attributes
    ----------
    rows : published rows; None if the day has not arrived.
    quarantined : rows that failed validation and were left out.
    rejected : its newest batch failed validation. ``late`` : it arrived after it was due; None: not known.
    requests, errors, latency : of the model server in the 24 hours before the look at the newest day: valid requests,
        those of them that it could not answer, and the 99 % quantile of the time of an answer in seconds.
    silent : why these are not known although the server was asked, as the end of a sentence; None: it was not asked.
    """

    rows: int | None = Field(default=None, ge=0)
    quarantined: int | None = Field(default=None, ge=0)
    rejected: bool = False
    late: bool | None = None
    requests: int | None = Field(default=None, ge=0)
    errors: int | None = Field(default=None, ge=0)
    latency: float | None = Field(default=None, ge=0)
    silent: str | None = None


class Usual(Record):
    """Earlier days of what no reference has: the share of quarantined rows, and the latency in seconds."""

    quarantined: tuple[float, ...] = ()
    latency: tuple[float, ...] = ()


def judge(
    reference: Reference | None,
    day: DayProfile | None,
    facts: DayFacts,
    *,
    usual: Usual = Usual(),  # noqa: B008 - frozen
    previous: DayProfile | None = None,
    leave_out: Sequence[str] = (),
    identity: Collection[str] = (),
) -> tuple[Result, ...]:
    """Judge what is counted on a day; what cannot be counted or compared is unknown.

    Parameters
    ----------
    reference : None if the version has none. ``day`` : None if the day has no rows that were published.
    previous : the day before, on the same reference; None: it is not compared.
    leave_out : ``monitoring.leave_out``: inputs in which new categories are usual.
    identity : key and event time, which are new on every day, also if a source repeats all of its other values.
    """
    found = [*_arrival(facts), _rows(reference, facts), _quarantined(facts, usual)]
    if reference is not None:
        found += _by_feature(reference, day, leave_out)
        found += [_duplicates(reference, day), _repeated(reference, day, previous, identity)]
    return (*found, *_service(facts, usual))


def damaged(results: Sequence[Result]) -> dict[str, str]:
    """Why an input is damaged, by its name, and by ``""`` why all rows are: what `drift.judge` must not judge.

    Values far outside of their range also make the score unusable (`DAMAGED_SCORE`), however little the input matters:
    how much it matters was measured within the range, and a linear model extrapolates. A day of few rows is damaged as
    a whole: it is incomplete, and its distances are larger by chance than those of the days that gave the limits.
    """
    found: dict[str, str] = {}
    for one in results:
        if not one.violated or one.cause is not Cause.DATA:
            continue
        if one.subject:
            found.setdefault(one.subject, one.sentence)
            if one.measure == "out_of_range":
                found.setdefault(DAMAGED_SCORE, one.sentence)
        elif one.measure in ("duplicates", "repeated_day", "rejected_day") or (
            one.measure == "rows" and (gross(one) or _few(one))
        ):
            found.setdefault(DAMAGED_DAY, one.sentence)
    return found


def gross(result: Result) -> bool:
    """Whether a violated counter pages a person on the first day."""
    if not result.violated or result.value is None:
        return False
    if result.measure == "rows":
        few = result.low is not None and result.value < result.low * GROSSLY_FEW / FEW_ROWS
        many = result.high is not None and result.value > result.high * GROSSLY_MANY / MANY_ROWS
        return result.value == 0 or few or many
    if result.measure in ("rejected_day", "repeated_day"):
        return True
    return result.measure in SHARES and result.value >= (GROSSLY_OUTSIDE if result.measure == "out_of_range" else GROSS)


def _few(rows: Result) -> bool:
    return rows.value is not None and rows.low is not None and rows.value < rows.low


# -- the day


def _arrival(facts: DayFacts) -> Iterator[Result]:
    said = "the newest batch of the day failed validation" if facts.rejected else "the day passed validation"
    yield _flag("rejected_day", facts.rejected, said)
    if facts.late is None:
        yield _unknown("", "late_day", "it is not known when the day arrived")
    else:
        yield _flag("late_day", facts.late, "the day arrived late" if facts.late else "the day arrived in time")


def _rows(reference: Reference | None, facts: DayFacts) -> Result:
    if facts.rows is None:
        return _unknown("", "rows", "the day has not arrived")
    if reference is None or len(reference.days) < ENOUGH_DAYS:
        days = 0 if reference is None else len(reference.days)
        why = f"the reference has {count(days, 'day')}, and {ENOUGH_DAYS} are needed for a limit"
        return _unknown("", "rows", f"the number of rows is not judged: {why}", float(facts.rows))
    filled = [rows for rows in reference.rows if rows]
    if not filled:
        return _unknown("", "rows", "the number of rows is not judged: no day of the reference has rows")
    if facts.rows == 0 and 0 in reference.rows:
        return _result("", "rows", 0.0, "the day has no rows, like other days of the reference", low=0.0)
    low, high = FEW_ROWS * min(filled), MANY_ROWS * max(filled)
    return _result(
        "", "rows", float(facts.rows),
        f"the day has {count(facts.rows, 'row')} ({low:,.0f} to {high:,.0f} is usual)", low=low, high=high,
    )  # fmt: skip


def _quarantined(facts: DayFacts, usual: Usual) -> Result:
    if facts.quarantined is None or facts.rows is None:
        return _unknown("", "quarantined", "it is not known how many rows were quarantined")
    every = facts.quarantined + facts.rows
    value = facts.quarantined / every if every else 0.0
    return _share("", "quarantined", value, limit_of(usual.quarantined, every), "of the rows were quarantined", "days")


def _duplicates(reference: Reference, day: DayProfile | None) -> Result:
    if day is None or day.rows == 0:
        return _unknown("", "duplicates", "duplicates are not counted: the day has no rows")
    fewest = fewest_of(reference.rows)
    pairs = zip(reference.duplicates, reference.rows, strict=True)
    limit = limit_of([found / rows for found, rows in pairs if rows >= fewest], day.rows, SMALLEST_DUPLICATES)
    return _share("", "duplicates", day.duplicates / day.rows, limit, "of the rows have the key of another row")


def _repeated(
    reference: Reference, day: DayProfile | None, previous: DayProfile | None, identity: Collection[str]
) -> Result:
    """Whether the day is a copy of the day before: all profiles are equal, those of numbers that vary included."""
    if day is None or previous is None or day.rows < FEWEST_REPEATED:
        return _unknown("", "repeated_day", "the day is not compared with the day before: one of them has too few rows")
    varying = [
        one.name
        for one in reference.features
        if one.name not in identity
        and isinstance(day.features.get(one.name), Numbers)
        and (one.limit(one.measure or "") or 0.0) > 0
    ]
    if not varying:
        why = "no number of the reference varies from day to day, or it has too few days"
        return _unknown("", "repeated_day", f"the day is not compared with the day before: {why}")
    mine, theirs = ({name: one for name, one in of.features.items() if name not in identity} for of in (day, previous))
    same = day.rows == previous.rows and mine == theirs
    return _flag(
        "repeated_day", same,
        f"the day has the same rows as {previous.key}" if same else f"the day differs from {previous.key}",
    )  # fmt: skip


# -- features


def _by_feature(reference: Reference, day: DayProfile | None, leave_out: Sequence[str]) -> Iterator[Result]:
    for one in reference.features:
        profile = None if day is None else day.features.get(one.name)
        if profile is None or profile.rows == 0:
            why = "the day has no rows" if day is None or day.rows == 0 else "no day of the reference has a value of it"
            yield _unknown(one.name, "missing", f"missing values of {one.name} are not judged: {why}")
            continue
        yield _missing(reference, one, profile)
        yield from _strange(one, profile, leave_out)
        yield _stuck(one, profile)


def _missing(reference: Reference, one: FeatureReference, profile: Numbers | Categories) -> Result:
    fewest = fewest_of(reference.rows)
    pairs = zip(one.values, reference.rows, strict=True)
    shares = [1 - values / rows for values, rows in pairs if rows >= fewest]
    value = profile.missing / profile.rows
    return _share(one.name, "missing", value, limit_of(shares, profile.rows), "of the values are missing")


def _strange(one: FeatureReference, profile: Numbers | Categories, leave_out: Sequence[str]) -> Iterator[Result]:
    """Values far outside of the usual range, and values that no row of the reference has."""
    measure = "out_of_range" if isinstance(one.scheme, Bins) else "unseen_categories"
    if measure == "unseen_categories" and one.name in leave_out:
        return
    cause = Cause.DATA if measure == "out_of_range" else Cause.DRIFT
    if one.strange is None:
        what = f"{one.name} has too many categories to know which are new"
        yield _unknown(one.name, measure, what, cause=cause)
        return
    if not profile.values:
        yield _unknown(one.name, measure, f"{one.name} has no value on that day", cause=cause)
        return
    there, fewest = zip(one.strange, one.values, strict=True), one.fewest
    shares = [strange / values for strange, values in there if values >= fewest]
    limit = limit_of(shares, profile.values)
    if isinstance(profile, Numbers):
        fences = f" ({number(one.scheme.low)} to {number(one.scheme.high)})" if isinstance(one.scheme, Bins) else ""
        what = f"of the values are far outside of the usual range{fences}"
        yield _share(one.name, measure, profile.outside / profile.values, limit, what)
        return
    value = profile.other / profile.values
    if value >= GROSS and not (profile.others == 1 and min(one.kinds or (2,)) <= 1):
        # Hardly any value is known: the same categories are written differently (a code instead of a name), rather than
        # all of them new. A person must decide that. Where one category can fill a day (weather), a single one is new.
        cause = Cause.DATA
    yield _share(
        one.name, measure, value, limit, "of the values are categories that the reference does not have", cause=cause
    )


def _stuck(one: FeatureReference, profile: Numbers | Categories) -> Result:
    """A single value on the whole day, of an input that has several on every day of the reference."""
    fewest = one.fewest
    kinds = [
        found for found, values in zip(one.kinds or (), one.values, strict=one.kinds is not None) if values >= fewest
    ]
    if len(kinds) < ENOUGH_DAYS or profile.values < fewest:
        why = "the reference has too few days" if len(kinds) < ENOUGH_DAYS else "the day has too few values"
        return _unknown(one.name, "stuck", f"it is not known whether {one.name} is stuck: {why}")
    if isinstance(profile, Numbers) and profile.outside >= GROSS * profile.values:
        # all values beyond a fence are in one bin
        why = "most of its values are far outside of the usual range"
        return _unknown(one.name, "stuck", f"it is not known whether {one.name} is stuck: {why}")
    same = f"{one.name} has the same value in all rows"
    said = f"{one.name} has several values" if profile.kinds > 1 else same
    return _result(one.name, "stuck", float(profile.kinds), said, low=float(min(*kinds, 2)))


# -- the service


def _service(facts: DayFacts, usual: Usual) -> Iterator[Result]:
    """Nothing if the server was not asked."""
    if facts.silent is not None:
        yield _unknown("", "prediction_errors", f"failed requests are not known: {facts.silent}", cause=Cause.SERVICE)
        yield _unknown("", "latency", f"the latency is not known: {facts.silent}", cause=Cause.SERVICE)
    elif facts.requests is not None and facts.errors is not None:
        yield _errors(facts.requests, facts.errors)
        yield _latency(facts.requests - facts.errors, facts.latency, usual)


def _errors(requests: int, errors: int) -> Result:
    if requests < FEWEST_REQUESTS:
        why = f"{count(requests, 'request')} came in the last 24 hours, and {FEWEST_REQUESTS} are needed"
        return _unknown("", "prediction_errors", f"failed requests are not judged: {why}", cause=Cause.SERVICE)
    limit = MOST_ERRORS + room(MOST_ERRORS, requests)
    return _share("", "prediction_errors", errors / requests, limit, "of the requests failed", cause=Cause.SERVICE)


def _latency(answers: int, latency: float | None, usual: Usual) -> Result:
    if latency is None or answers < FEWEST_ANSWERS:
        why = f"{count(answers, 'request')} were answered in the last 24 hours, and {FEWEST_ANSWERS} are needed"
        if answers >= FEWEST_ANSWERS:
            why = "the model server does not report it"
        return _unknown("", "latency", f"the latency is not judged: {why}", cause=Cause.SERVICE)
    shown = f"99 % of the requests took up to {1000 * latency:.3g} ms"
    if len(usual.latency) < ENOUGH_DAYS:
        what = f"{shown}: {count(len(usual.latency), 'day')} are known, and {ENOUGH_DAYS} are needed for a limit"
        return _unknown("", "latency", what, latency, Cause.SERVICE)
    limit = SLOWER * max(usual.latency)
    said = f"{shown} (limit {1000 * limit:.3g} ms)"
    return _result("", "latency", latency, said, high=limit, cause=Cause.SERVICE)


# -- results


def _share(
    subject: str,
    measure: str,
    value: float,
    limit: float | None,
    what: str,
    days: str = "days of the reference",
    cause: Cause = Cause.DATA,
) -> Result:
    name = f"{subject}: " if subject else ""
    if limit is None:
        why = f"fewer than {ENOUGH_DAYS} {days} are known"
        return _unknown(
            subject, measure, f"{name}{percent(value)} {what}; without a limit, because {why}", value, cause
        )
    return _result(
        subject, measure, value, f"{name}{percent(value)} {what} (limit {percent(limit)})", high=limit, cause=cause
    )


def _flag(measure: str, value: bool, sentence: str) -> Result:
    return _result("", measure, float(value), sentence, high=0.0)


def _result(
    subject: str,
    measure: str,
    value: float,
    sentence: str,
    *,
    low: float | None = None,
    high: float | None = None,
    cause: Cause = Cause.DATA,
) -> Result:
    beyond = (low is not None and value < low) or (high is not None and value > high)
    return Result(
        subject=subject,
        measure=measure,
        formula=FORMULA,
        value=value,
        low=low,
        high=high,
        state=State.VIOLATED if beyond else State.HEALTHY,
        cause=cause,
        sentence=sentence,
    )


def _unknown(
    subject: str, measure: str, sentence: str, value: float | None = None, cause: Cause = Cause.DATA
) -> Result:
    return Result(
        subject=subject,
        measure=measure,
        formula=FORMULA,
        value=value,
        state=State.UNKNOWN,
        cause=cause,
        sentence=sentence,
    )
