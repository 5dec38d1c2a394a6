"""The row of one model, put together from what each source says. Pure: it reads no file, no table and no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from include.catalog import Entry
from include.overview import days, service
from include.overview.health import SILENT, health_of
from include.overview.needs import needs, released
from include.overview.nights import Calendar, Window
from include.overview.outcomes import NightEvidence, Sources, outcome
from include.overview.records import Freeze, ModelOverview, Night, Outcome, RunRow, Runs, Server
from include.registry.overview import ChampionLine, DayLines, DecisionLine, LedgerView

NIGHTS = 14
KEPT = 46
"""Nights that moments are sorted into: the 30 of the sparkline, and some without a decision."""
BEGINS = timedelta(minutes=15)
"""How long after its time a night may begin before it counts as due."""
NO_DAYS = DayLines((), None, None)
ON_DEMAND = "No night was planned: it is retrained on demand, when its monitor finds that it is stale, or by hand."


@dataclass(frozen=True)
class RunsOf:
    """Airflow's runs of one model, each kind newest first."""

    retrains: Sequence[RunRow] = ()
    releases: Sequence[RunRow] = ()
    collects: Sequence[RunRow] = ()
    broken: Sequence[RunRow] = ()


NO_RUNS = RunsOf()


@dataclass(frozen=True)
class Evidence:
    """What every source says.

    Attributes
    ----------
    ledger, server : ``None`` if it does not answer. ``runs`` : by model. ``since`` : from when they are complete;
        ``None`` if Airflow's runs are not known. ``paused``, ``partial``, ``first_seen`` : as in `Runs`.
    """

    ledger: LedgerView | None
    server: Server | None
    runs: Mapping[str, RunsOf] = field(default_factory=dict)
    since: datetime | None = None
    paused: frozenset[str] = frozenset()
    partial: frozenset[str] = frozenset()
    first_seen: Mapping[str, datetime] | None = None


def by_model(runs: Runs | None) -> dict[str, RunsOf]:
    """The runs by model, each kind newest first."""
    found: dict[str, dict[str, list[RunRow]]] = {}
    for run in sorted(runs.rows if runs else (), key=lambda run: run.run_after, reverse=True):
        model, _, kind = run.dag_id.rpartition("_")
        found.setdefault(model, {}).setdefault(kind, []).append(run)
    return {
        model: RunsOf(
            kinds.get("retrain", ()),
            kinds.get("release", ()),
            _unsuccessful(kinds.get("collect", ())),
            kinds.get("broken", ()),
        )
        for model, kinds in found.items()
    }


def _unsuccessful(runs: Sequence[RunRow]) -> list[RunRow]:
    return [run for run in runs if run.state != "success"]


def row(name: str, entry: Entry | None, known: Evidence, now: datetime) -> ModelOverview:
    """The row of one model.

    Parameters
    ----------
    entry : its folder; ``None`` if only the ledger knows it.
    """
    model = entry.model if entry else None
    ledger, runs = known.ledger, known.runs.get(name, NO_RUNS)
    champion = ledger.champions.get(name) if ledger else None
    decisions = ledger.decisions.get(name, ()) if ledger else ()
    calendar = Calendar(model.timezone if model else "UTC", model.training.schedule if model else None)
    window = calendar.window(now, KEPT)
    of = _nights_of(window, calendar, decisions, runs.retrains)
    nights, current = _nights(name, window, decisions, of, runs, known, now)
    awaited = None if decisions or runs.retrains else _awaited(name, calendar, current, champion, known, now)
    night = _about_the_model(name, current, entry, champion, decisions, known, awaited)
    lines = (ledger.days.get(name) or NO_DAYS) if ledger else None
    data = days.data_of(model, lines, runs.collects, now) if lines is not None and model is not None else None
    serving = service.serving_of(champion, model, known.server, name, now) if ledger else None
    state = next((one.state for one in decisions if one.version == night.version), None)
    served = service.served_model(known.server, name)
    freeze = champion.freeze if champion else None
    health = health_of(ledger.incidents.get(name, ()), ledger.looks.get(name), now) if ledger else SILENT
    problem = entry.problem if entry else None
    return ModelOverview(
        name=name,
        owner=model.owner if model else None,
        description=model.description if model else "",
        tags=model.tags if model else (),
        timezone=calendar.timezone,
        problem=problem,
        night=night,
        nights=_with_current(nights, night),
        serving=serving,
        quality=service.quality_of(champion, decisions, of, model),
        data=data,
        live=served.live if served else None,
        freeze=None if freeze is None else Freeze(freeze.actor, freeze.since, freeze.reason),
        health=health,
        needs=needs(
            name,
            problem,
            night,
            serving,
            data,
            released(state),
            known.paused,
            gone=entry is None,
            awaited=awaited is not None,
            incident=health.todo,
        ),
        gone=entry is None,
    )


def _nights_of(
    window: Window, calendar: Calendar, decisions: Sequence[DecisionLine], retrains: Sequence[RunRow]
) -> list[str]:
    """The night of each decision: that of its run, however long it took."""
    begun = {run.run_id: run.run_after for run in retrains}
    moments = (begun.get(decision.run_id, decision.at) for decision in decisions)
    return [window.of(moment) or calendar.night(moment).isoformat() for moment in moments]


def _nights(
    name: str,
    window: Window,
    decisions: Sequence[DecisionLine],
    of: Sequence[str],
    runs: RunsOf,
    known: Evidence,
    now: datetime,
) -> tuple[tuple[Night, ...], Night]:
    """The last nights, oldest first, and the newest one that was due or that something is known about.

    Parameters
    ----------
    of : the night of each decision.
    """
    decided: dict[str, list[DecisionLine]] = {}
    for decision, night in zip(decisions, of, strict=True):
        decided.setdefault(night, []).append(decision)
    begun: dict[str | None, list[RunRow]] = {}
    for run in runs.retrains:
        begun.setdefault(window.of(run.run_after), []).append(run)
    # a folder that Airflow has not read yet has no nights
    seen = None if known.first_seen is None else known.first_seen.get(name, now)
    due = _due(window, _first_moment(decisions, runs.retrains), seen, now)
    paused, complete, found = f"{name}_retrain" in known.paused, name not in known.partial, []
    before, after = (Sources(there, known.ledger is not None) for there in (False, True))
    for day, start in zip(window.days[-NIGHTS:], window.starts[-NIGHTS:], strict=True):
        sources = after if complete and known.since is not None and known.since <= start else before
        mine = NightEvidence(name, day, due.get(day), decided.get(day, ()), begun.get(day, ()), runs.releases)
        found.append(outcome(mine, sources, paused))
    telling = [night for night in found if night.outcome is not Outcome.NOT_DUE]
    return tuple(found), telling[-1] if telling else found[-1]


def _due(window: Window, first: datetime | None, seen: datetime | None, now: datetime) -> dict[str, datetime]:
    """When the nights of a window were due, by day, those that were planned and have begun.

    A night is left out if the model may not have existed: before anything is known about its nights (``first``), and
    before Airflow had its DAG (``seen``). If both are unknown, only the newest is due.
    """
    ends = (*window.starts[1:], None)
    latest, found = now - BEGINS, {}
    for day, due, end in zip(window.days[-NIGHTS:], window.due[-NIGHTS:], ends[-NIGHTS:], strict=True):
        if due is None or due > latest:
            continue
        begun = first is not None and (end is None or end > first)
        if begun or (seen is not None and due >= seen) or (first is None and seen is None):
            found[day] = due
    return found if first is not None or seen is not None else dict(list(found.items())[-1:])


def _first_moment(decisions: Sequence[DecisionLine], retrains: Sequence[RunRow]) -> datetime | None:
    """The oldest thing that is known about the nights of a model."""
    moments = [decisions[-1].at] if decisions else []
    moments += [retrains[-1].run_after] if retrains else []
    return min(moments, default=None)


def _awaited(
    name: str,
    calendar: Calendar,
    newest: Night,
    champion: ChampionLine | None,
    known: Evidence,
    now: datetime,
) -> datetime | None:
    """When the first night of a model begins that was never trained; None if a night was due, or none is planned."""
    released_before = champion is not None and champion.epoch > 0
    if newest.outcome is not Outcome.NOT_DUE or released_before or f"{name}_retrain" in known.paused:
        return None
    return calendar.next_due(now)


def _about_the_model(
    name: str,
    night: Night,
    entry: Entry | None,
    champion: ChampionLine | None,
    decisions: Sequence[DecisionLine],
    known: Evidence,
    awaited: datetime | None,
) -> Night:
    """The newest night, as the state of the folder, a freeze and a missing champion make it."""
    if entry is None:
        why = "Its folder is gone, so no nights are planned."
        return replace(night, outcome=Outcome.NOT_DUE, sentence=why) if night.outcome is Outcome.NOT_DUE else night
    if entry.problem is not None:
        return _broken(name, night, entry.problem, known.runs.get(name, NO_RUNS).broken)
    if night.outcome is Outcome.NOT_DUE and entry.model is not None and entry.model.training.schedule is None:
        night = replace(night, sentence=ON_DEMAND)
    quiet = night.outcome in (Outcome.SKIPPED, Outcome.NOT_RUN, Outcome.NOT_DUE)
    if night.outcome is Outcome.SKIPPED and champion is not None and champion.frozen and decisions:
        newest = decisions[0]
        if newest.verdict == "hold" and newest.bundled and newest.state == "packaged":
            return replace(night, outcome=Outcome.FROZEN, version=newest.version)
    if quiet and known.ledger is not None and (champion is None or champion.version is None):
        why = _without_champion(name, night, champion, known, awaited)
        return replace(night, outcome=Outcome.NO_CHAMPION, sentence=why)
    return night


def _broken(name: str, night: Night, problem: str, runs: Sequence[RunRow]) -> Night:
    """The night of a folder that does not load; its run is that of `<model>_broken`."""
    newest = runs[0] if runs else None
    return Night(
        outcome=Outcome.BROKEN,
        day=night.day,
        sentence=problem,
        dag_id=newest.dag_id if newest else None,
        run_id=newest.run_id if newest else None,
        run_state=newest.state if newest else None,
        at=(newest.end or newest.start or newest.run_after) if newest else night.at,
    )


def _without_champion(
    name: str, night: Night, champion: ChampionLine | None, known: Evidence, awaited: datetime | None
) -> str:
    """Why nothing serves, and whether a night will change that."""
    if night.outcome is Outcome.SKIPPED:
        return night.sentence
    never = champion is None or champion.epoch == 0
    why = "Nothing has been released yet." if never else "It was taken out of service."
    if awaited is not None:
        return f"{why} Its first night begins at {awaited:%Y-%m-%d %H:%M} UTC."
    if night.outcome is Outcome.NOT_DUE and f"{name}_retrain" in known.paused:
        return f"{why} {name}_retrain is paused in Airflow."
    return f"{why} {night.sentence}"


def _with_current(nights: tuple[Night, ...], night: Night) -> tuple[Night, ...]:
    """The nights with the newest one as `_about_the_model` sees it."""
    return tuple(night if one.day == night.day else one for one in nights)
