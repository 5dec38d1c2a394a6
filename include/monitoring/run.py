"""The monitor: one day is measured, judged and recorded; then incidents follow, and what is to be done.

Each write can be repeated: replays, then the measures of a day in one commit, then the incidents in one transaction. A
process that is killed between two of them and repeated ends in the same state.

Only the look at the newest day opens and closes incidents, and asks for a retraining. A look at an older day, as in a
back-fill, writes its measures and nothing else. The look at the newest day also measures older days again whose rows or
labels were corrected, and days that were left out.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache

from include import catalog, files
from include.data import monitoring as table
from include.data.lake import Lake
from include.data.monitoring import Kind, Measured
from include.data.open_lake import OpenLake
from include.errors import NotReady
from include.monitoring import arrival, drift, findings, server_figures
from include.monitoring.challengers import Challengers, TwinsOfTheLedger
from include.monitoring.counters import DayFacts
from include.monitoring.findings import Findings
from include.monitoring.measuring import MeasuredDay, Measuring
from include.monitoring.policy import Action, Labels
from include.monitoring.probed import Probed
from include.monitoring.promotion import standing
from include.monitoring.wording import count, listed, sentence
from include.records import PartitionKey, Record
from include.registry.bundles import BundleStore
from include.registry.in_service import InService
from include.registry.incident_rows import IncidentKind
from include.registry.incidents import Incidents, Observed, Scope
from include.registry.ledger import Ledger
from include.spec import Model
from include.statistics.results import Cause, State

log = logging.getLogger(__name__)

MEASURES = ("monitoring", "statistics")
"""The packages of `include/` whose code makes a measure."""
LOOK_BACK = 60
"""Published days before the newest one that are measured again if their rows were corrected."""
JUDGED = (Kind.DRIFT, Kind.COUNTER, Kind.STALENESS)
LONGEST_NOTE = 480


class Monitored(Record):
    """What the monitor found about one day.

    Attributes
    ----------
    note : one line, for the run. ``lines`` : sentences, for the log.
    newest : whether this was a look at the newest day; only that opens and closes incidents, and retrains.
    retrain, cause, reason : as in `policy.Action`.
    opened, closed : numbers of incidents.
    again : earlier days that were measured again.
    measures, violated, unknown : results that were judged, those beyond a limit, and those that are not known.
    """

    key: PartitionKey
    note: str
    lines: tuple[str, ...]
    newest: bool
    retrain: bool
    cause: str
    reason: str
    opened: tuple[int, ...] = ()
    closed: tuple[int, ...] = ()
    again: tuple[PartitionKey, ...] = ()
    rows: int
    measures: int
    violated: int
    unknown: int

    @property
    def action(self) -> Action:
        """What the monitor does about the model."""
        return Action(self.retrain, self.cause, self.reason)


def monitor(
    model: Model, key: str, run_id: str | None, now: datetime, challengers: Sequence[Challengers] | None = None
) -> Monitored:
    """Measure one day, and act on it if it is the newest one.

    Parameters
    ----------
    run_id : the run that acts, for the record. ``now`` : the moment of the look.
    challengers : where newer fits come from; ``None``: the twins of the ledger, and probes if these are old.

    Raises
    ------
    NotReady : the day was neither published nor rejected.
    TransientError : a service did not answer.
    """
    lake, store, ledger = OpenLake.of(model), BundleStore.default(), Ledger.default()
    in_service = InService.of(model.name)
    if challengers is None:
        challengers = [Probed(model, ledger, TwinsOfTheLedger(model, store, ledger))]
    measuring = Measuring(model, lake, store, in_service, challengers, now)
    facts = arrival.facts(model, lake, measuring.days, key, in_service)
    if facts is None:
        newest = f"the newest is {measuring.days.newest}" if measuring.days.newest else "none is"
        raise NotReady(
            f"partition {key} of {model.name} is not published ({newest}). Collect it: run {model.name}_collect for "
            f"{key}."
        )
    lake.create()  # a lake of an earlier version lacks tables
    is_newest = key >= (measuring.days.newest or "")
    again = _measure_again(measuring, lake, key) if is_newest else []
    if is_newest and not server_figures.recorded(lake, key):
        facts = server_figures.with_figures(model.name, facts)
    found = _measure(measuring, lake, key, facts)
    if not is_newest:
        action = Action(False, "", f"No retraining: {key} is not the newest day.")
        return _monitored(found, facts, action, Observed(), False, again)
    rows = table.read(lake, findings.first_day(model, key), key, JUDGED)
    judged = findings.judge(model, key, rows, _labels(measuring, found), standing(model.name, ledger).newest)
    observed = _observe(model, judged.findings, found, now, run_id)
    return _monitored(found, facts, judged.action, observed, True, again)


def _measure(measuring: Measuring, lake: Lake, key: str, facts: DayFacts) -> MeasuredDay:
    found = measuring.measure(key, facts)
    table.write(lake, found.parts, code_digest())
    return found


def _measure_again(measuring: Measuring, lake: Lake, key: str) -> list[str]:
    """Measure earlier days whose rows are not those that they were measured on."""
    again = []
    for one in measuring.outdated(key, LOOK_BACK):
        facts = arrival.facts(measuring.model, lake, measuring.days, one, measuring.in_service)
        if facts is not None:
            _measure(measuring, lake, one, facts)
            again.append(one)
    return again


def _labels(measuring: Measuring, day: MeasuredDay) -> Labels:
    """The last day that the champion was fitted on, and the newest day with final labels."""
    champion, window = day.champion, measuring.days.window(day.key)
    release = None if champion is None else measuring.releases.known(champion.version, champion.digest)
    return Labels(learned_until=None if release is None else release.last, matured_until=window[-1] if window else None)


def _observe(model: Model, found: Findings, day: MeasuredDay, began: datetime, run_id: str | None) -> Observed:
    """Record the look with its incidents. Those about requests stay as they are if the server was not asked."""
    # A champion that was fitted on days of the comparison has replaced the one that was found to be stale.
    over = day.pair is not None and day.pair.fresh
    unknown = [one for one in found.unknown if not (over and one[1] is IncidentKind.STALE)]
    scopes = [Scope(model.name, findings.OWN_KINDS, None)]
    if any(one.result.cause is Cause.SERVICE for one in day.rows):
        scopes.append(Scope(model.name, frozenset({IncidentKind.SERVICE}), findings.SERVICE_PREFIX))
    parts = [_in_scope(scope, found, unknown, began, run_id) for scope in scopes]
    return Observed(
        tuple(one for part in parts for one in part.opened),
        tuple(one for part in parts for one in part.updated),
        tuple(one for part in parts for one in part.closed),
    )


def _in_scope(
    scope: Scope, found: Findings, unknown: Collection[findings.Unknown], began: datetime, run_id: str | None
) -> Observed:
    return Incidents.default().observe(
        scope,
        [one for one in found.seen if one.kind in scope.kinds],
        began,
        run_id,
        [one for one in unknown if one[1] in scope.kinds],
    )


# -- what is returned


def _monitored(
    day: MeasuredDay, facts: DayFacts, action: Action, observed: Observed, newest: bool, again: Sequence[str]
) -> Monitored:
    judged = [one for one in day.rows if one.kind in JUDGED]
    violated = [one for one in judged if one.result.violated]
    unknown = [one for one in judged if not one.result.known]
    opened, closed = [one.number for one in observed.opened], [one.number for one in observed.closed]
    return Monitored(
        key=day.key,
        note=_note(day, violated, action, opened, closed, again),
        lines=tuple(_lines(day, judged, action, observed, again)),
        newest=newest,
        retrain=action.retrain,
        cause=action.cause,
        reason=action.reason,
        opened=tuple(opened),
        closed=tuple(closed),
        again=tuple(again),
        rows=facts.rows or 0,
        measures=len(judged),
        violated=len(violated),
        unknown=len(unknown),
    )


def _note(
    day: MeasuredDay,
    violated: Sequence[Measured],
    action: Action,
    opened: Sequence[int],
    closed: Sequence[int],
    again: Sequence[str],
) -> str:
    """``MONITORED 2026-05-03: missing (dep_delay) is beyond its limit. Incident 12 was opened. No retraining: ...``"""
    names = list(dict.fromkeys(_name(one) for one in violated if one.result.measure != "psi"))
    parts = [f"{listed(names)} {'is' if len(names) == 1 else 'are'} beyond the limit" if names else "within all limits"]
    for numbers, what in ((opened, "opened"), (closed, "closed")):
        if numbers:
            parts.append(f"incident{'s' if len(numbers) > 1 else ''} {listed([str(n) for n in numbers])} {what}")
    if again:
        parts.append(f"{count(len(again), 'corrected day')} measured again")
    line = " ".join([f"MONITORED {day.key}: {'; '.join(parts)}.", action.reason])
    return line if len(line) <= LONGEST_NOTE else f"{line[: LONGEST_NOTE - 4].rsplit(' ', 1)[0]} ..."


def _name(one: Measured) -> str:
    return f"{one.result.measure} of {one.result.subject}" if one.result.subject else one.result.measure


def _lines(
    day: MeasuredDay, judged: Sequence[Measured], action: Action, observed: Observed, again: Sequence[str]
) -> list[str]:
    """What the log says: performance, what is violated, what is not known, incidents, and what is done."""
    performance = [one.result for one in day.parts[day.key, Kind.PERFORMANCE] if not one.slice]
    found = [sentence(result.sentence) for result in performance]
    shown = [one.result for one in judged if drift.decides(one.result)]
    found += [f"Beyond its limit: {sentence(result.sentence)}" for result in shown if result.violated]
    found += [
        f"Not known: {sentence(one.sentence)}" for one in shown if one.state is State.UNKNOWN and one.value is None
    ]
    found += [sentence(one.result.sentence) for one in day.parts[day.key, Kind.STALENESS] if one.result.known]
    for rows, what in ((observed.opened, "opened"), (observed.updated, "seen again"), (observed.closed, "closed")):
        found += [f"Incident {one.number} was {what} ({one.severity}): {sentence(one.what)}" for one in rows]
    if again:
        found.append(f"Measured again, because their rows or labels were corrected: {listed(again)}.")
    return [*found, action.reason]


@cache
def code_digest() -> str:
    """The digest of the code that measures, for the column ``code``: a value can be traced to its formula."""
    code = catalog.code_of(MEASURES)
    parts = (f"{name}\n{files.sha256(path.read_bytes())}\n" for name, path in sorted(code.items()))
    return files.sha256("".join(parts).encode())
