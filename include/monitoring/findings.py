"""From what was measured to what is wrong: at most one finding for each model, kind and cause, in sentences.

Fifty inputs that drift at once are one finding that names the worst of them, and a second one if the model as a whole
has drifted. An unknown measure is no finding, and closes none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from include.data.monitoring import Kind, Measured
from include.monitoring import alarm, counters, drift, policy
from include.monitoring.alarm import Alarm
from include.monitoring.policy import Action, Newest, Promotion
from include.monitoring.wording import count, listed, sentence
from include.partitions import earlier
from include.records import Record
from include.registry import addresses
from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.spec import Model
from include.statistics.results import Cause

MOST_NAMED = 5
LEAST_IMPORTANCE = 0.01
"""An input with a smaller share in the importance of all is not worth a message; the page shows its drift."""
KINDS = {
    Cause.DATA: IncidentKind.DATA,
    Cause.DRIFT: IncidentKind.DRIFT,
    Cause.STALE: IncidentKind.STALE,
    Cause.SERVICE: IncidentKind.SERVICE,
}
OWN_KINDS = frozenset({IncidentKind.DATA, IncidentKind.DRIFT, IncidentKind.STALE})
"""The kinds of which every incident of a model comes from here; of `IncidentKind.SERVICE` only the causes that begin
with `SERVICE_PREFIX`. They are what a look closes if it no longer finds them."""
SERVICE_PREFIX = "requests:"
MODEL, FEATURES, CHAMPION = "model", "features", "champion"

Unknown = tuple[str, IncidentKind, str]

WHAT = {
    "rows": "The day has an unusual number of rows",
    "missing": "Values are missing",
    "out_of_range": "Values are far outside of their usual range",
    "unseen_categories": "Values are categories that the reference does not have",
    "duplicates": "Rows have the key of another row",
    "quarantined": "More rows than usual were quarantined",
    "rejected_day": "The newest day was rejected",
    "late_day": "The newest day arrived late",
    "stuck": "Inputs have the same value in all rows",
    "repeated_day": "The newest day is a copy of the day before",
    "worse_than_baseline": "The champion and a newer fit are worse than the trivial baseline",
    "prediction_errors": "The model server fails to answer requests",
    "latency": "The model server is slower than usual",
}
TODO = {
    "rejected_day": "Look at the validation report of the day, and collect it again when its source is repaired.",
    "late_day": "Look at the source, or set data.schedule to a later time.",
    "unseen_categories": "Check whether the new categories are real; if so, the next training learns them.",
    "worse_than_baseline": "Compare the newest labels and inputs with their source; if right, retrain by hand.",
    "prediction_errors": "Look at the log of the model server.",
    "latency": "Look at the load of the machine and of the model server.",
}
REPAIR = "Look at the source, and collect the day again when it is repaired; no retraining starts until then."


class Findings(Record):
    """What is wrong with a model.

    Attributes
    ----------
    seen : the findings. ``unknown`` : model, kind and cause of what is neither found nor known to be over.
    """

    seen: tuple[Seen, ...]
    unknown: tuple[Unknown, ...]


@dataclass(frozen=True)
class Judged:
    """What follows from the measures of a day: what the monitor does, and what is wrong."""

    action: Action
    findings: Findings


def first_day(model: Model, key: str) -> str:
    """The first day whose measures a look at the day ``key`` needs."""
    return earlier(key, policy.days_needed(model) - 1)


def judge(model: Model, key: str, rows: Sequence[Measured], labels: policy.Labels, newest: Newest) -> Judged:
    """Decide, and find what is wrong, from the measures of the days from `first_day` to ``key``.

    The monitor and the simulation that measures its errors (`include.monitor_power`) both call this.
    """
    action = policy.decide(model, key, rows, labels, newest)
    return Judged(action, find(model, key, rows, action, newest))


def find(model: Model, key: str, rows: Sequence[Measured], action: Action, newest: Newest) -> Findings:
    """What the day ``key`` and those before it show to be wrong.

    Parameters
    ----------
    rows : of the table `monitoring`, the last `policy.days_needed` days up to and including ``key``.
    action : what `policy.decide` has decided on the same rows.
    """
    known = [one for one in rows if one.partition <= key and not one.slice]
    by_subject = alarm.series(known)
    seen: list[Seen] = []
    unknown: list[Unknown] = []
    for found in (
        _counters(model, key, by_subject),
        _model_drift(model, key, by_subject, action),
        _feature_drift(model, key, by_subject),
        _stale(model, key, by_subject, action, newest),
    ):
        for one in found:
            (seen if isinstance(one, Seen) else unknown).append(one)  # type: ignore[arg-type]
    return Findings(seen=tuple(seen), unknown=tuple(unknown))


# -- counters


def _counters(model: Model, key: str, by_subject: alarm.Series) -> Iterator[Seen | Unknown]:
    """One finding for each measure and cause: a warning on the first day, critical if it is gross or persists."""
    groups: dict[tuple[IncidentKind, str], list[Alarm]] = {}
    for (subject, measure), days in by_subject.items():
        if days[-1].kind is not Kind.COUNTER:
            continue
        for cause in {one.result.cause for one in days}:
            of_cause = [one for one in days if one.result.cause is cause]
            one = alarm.judge(of_cause, subject, measure, key, model.monitoring)
            elsewhere = days[-1].result if one.newest is None and days[-1].partition == key else None
            if elsewhere is not None and elsewhere.known:
                continue  # the same measure means something else today (a few new categories, or all of them)
            groups.setdefault((KINDS[cause], measure), []).append(one)
    for (kind, measure), alarms in groups.items():
        cause_name = f"{SERVICE_PREFIX}{measure}" if kind is IncidentKind.SERVICE else measure
        violated = [one for one in alarms if one.newest is not None and one.newest.violated]
        if violated:
            yield _counted(model, key, kind, cause_name, measure, violated)
        elif _open(alarms, at_once=True):
            yield (model.name, kind, cause_name)


def _counted(model: Model, key: str, kind: IncidentKind, cause: str, measure: str, violated: Sequence[Alarm]) -> Seen:
    results = [one.newest for one in violated if one.newest is not None]
    worst = sorted(results, key=lambda one: -(one.value or 0.0))
    pages = any(one.fires for one in violated) or any(map(counters.gross, results))
    if measure == "late_day" or kind is IncidentKind.DRIFT:
        pages = False
    names = [one.subject for one in worst if one.subject]
    what = WHAT.get(measure, worst[0].sentence)
    return Seen(
        model=model.name,
        kind=kind,
        cause=cause,
        severity=Severity.CRITICAL if pages else Severity.WARNING,
        since=min((one.since for one in violated if one.since), default=key),
        what=sentence(f"{what}: {listed(names, MOST_NAMED)}" if names else what),
        how_bad=sentence("; ".join(one.sentence for one in worst[:MOST_NAMED])),
        done="No retraining starts on these rows." if kind is IncidentKind.DATA and measure != "late_day" else "",
        todo=TODO.get(measure, REPAIR if kind is IncidentKind.DATA else ""),
        page=_page(model),
    )


# -- drift


def _model_drift(model: Model, key: str, by_subject: alarm.Series, action: Action) -> Iterator[Seen | Unknown]:
    """The model as a whole: its scores, or the weighted drift of its inputs.

    It pages a person once it lasts for a day more than an alarm needs. Alarms alone did so in more than one healthy
    month of a hundred of a model with few rows a day (`make monitor-power`).
    """
    weighted = by_subject.get(("", drift.WEIGHTED), [])
    alarms = policy.score_alarms(model, key, by_subject)
    if weighted:
        alarms.append(alarm.judge(weighted, "", drift.WEIGHTED, key, model.monitoring))
    fires = [one for one in alarms if one.fires]
    if not fires:
        if _open(alarms):
            yield (model.name, IncidentKind.DRIFT, MODEL)
        return
    yield Seen(
        model=model.name,
        kind=IncidentKind.DRIFT,
        cause=MODEL,
        severity=Severity.CRITICAL if any(_lasts(one, model) for one in fires) else Severity.WARNING,
        since=min((one.since for one in fires if one.since), default=key),
        what=sentence(f"{_named(fires)} differ from the days that the model was made with"),
        how_bad=_figures(fires),
        done=sentence(action.reason),
        todo="Look at the inputs with the largest drift, and at the performance once labels have arrived.",
        page=_page(model),
    )


def _lasts(one: Alarm, model: Model) -> bool:
    """Whether more days are beyond the limit than an alarm needs; all of them if it needs all."""
    declared = model.monitoring
    return one.beyond >= min(declared.alarm_days + 1, declared.of_days)


def _named(fires: Sequence[Alarm]) -> str:
    scores = any(one.measure != drift.WEIGHTED for one in fires)
    inputs = any(one.measure == drift.WEIGHTED for one in fires)
    return " and ".join(
        (["the scores"] if scores else []) + (["the inputs that the model depends on"] if inputs else [])
    )


def _feature_drift(model: Model, key: str, by_subject: alarm.Series) -> Iterator[Seen | Unknown]:
    """All inputs that drift, as one warning."""
    alarms = []
    for (subject, measure), days in by_subject.items():
        one = days[-1]
        if one.kind is not Kind.DRIFT or not subject or drift.is_score(one.result) or not drift.decides(one.result):
            continue
        if one.importance is None or one.importance >= LEAST_IMPORTANCE:
            alarms.append(alarm.judge(days, subject, measure, key, model.monitoring))
    fires = sorted((one for one in alarms if one.fires), key=_excess, reverse=True)
    if not fires:
        if _open(alarms):
            yield (model.name, IncidentKind.DRIFT, FEATURES)
        return
    names = [one.subject for one in fires]
    verb = "differs" if len(names) == 1 else "differ"
    yield Seen(
        model=model.name,
        kind=IncidentKind.DRIFT,
        cause=FEATURES,
        severity=Severity.WARNING,
        since=min((one.since for one in fires if one.since), default=key),
        what=sentence(f"{count(len(names), 'input')} {verb} from the reference: {listed(names, MOST_NAMED)}"),
        how_bad=_figures(fires),
        done="Drift of inputs alone starts no retraining.",
        todo="Check whether the change is real; list inputs that change on purpose in monitoring.leave_out.",
        page=_page(model),
    )


def _figures(fires: Sequence[Alarm]) -> str:
    return sentence("; ".join(one.newest.sentence for one in fires[:MOST_NAMED] if one.newest is not None))


def _excess(one: Alarm) -> float:
    """How many times its limit the distance is."""
    found = one.newest
    if found is None or found.value is None or found.high is None:
        return 0.0
    return found.value / found.high if found.high > 0 else float("inf")


def _open(alarms: Sequence[Alarm], at_once: bool = False) -> bool:
    """Whether an incident of these, if there is one, is not known to be over.

    Parameters
    ----------
    at_once : it is over on the first day within the limits, as a counter is.
    """
    known = [one for one in alarms if one.newest is not None and one.newest.known]
    waits = [one for one in alarms if one.lingers and not (at_once and one in known)]
    return bool(waits) or not known


# -- staleness


def _stale(
    model: Model, key: str, by_subject: alarm.Series, action: Action, newest: Newest
) -> Iterator[Seen | Unknown]:
    """The champion is worse than a newer fit. It pages a person unless a retraining answers it."""
    stale = policy.stale_alarm(model, key, by_subject)
    if not stale.fires:
        if _open([stale]):
            yield (model.name, IncidentKind.STALE, CHAMPION)
        return
    held = newest.promotion is not Promotion.NORMAL
    why = f", because {newest.sentence}" if held else ""
    yield Seen(
        model=model.name,
        kind=IncidentKind.STALE,
        cause=CHAMPION,
        severity=Severity.WARNING if action.retrain else Severity.CRITICAL,
        since=stale.since or key,
        what=sentence(f"a newer fit of the champion's recipe is better{why}"),
        how_bad=_figures([stale]),
        done=sentence(action.reason),
        todo="" if action.retrain else _todo_stale(model, newest),
        page=_page(model),
    )


def _todo_stale(model: Model, newest: Newest) -> str:
    todo: Mapping[Promotion, str] = {
        Promotion.FROZEN: f"Lift the freeze (`make unfreeze MODEL={model.name} REASON=...`), or accept the loss.",
        Promotion.HELD: "Look at the checks that hold the newest version, and release it by hand if they are wrong.",
        Promotion.REFUSED: "Look at why the newest run was refused.",
        Promotion.WAITING: "Approve or reject the newest version.",
        Promotion.NORMAL: f"Retrain the model (run {model.name}_retrain), or find out why that does not help.",
    }
    return todo[newest.promotion]


def _page(model: Model) -> str:
    return addresses.of_model(model.name)
