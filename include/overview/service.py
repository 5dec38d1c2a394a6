"""What serves, how old it is, and how good it was: from the ledger and the answer of the model server. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from include.overview.nights import Calendar
from include.overview.outcomes import SERVED
from include.overview.records import Gain, Point, Quality, ServedModel, Server, ServerState, Serving
from include.overview.wording import ended, recipe_of
from include.registry.evidence import Interval
from include.registry.overview import ChampionLine, DecisionLine
from include.spec import Model

OLD_DAYS = 14
"""Days for which a model may go without a promotion, on top of its schedule and the delay of its labels."""
POINTS = 30


def serving_of(
    champion: ChampionLine | None, model: Model | None, server: Server | None, name: str, now: datetime
) -> Serving:
    """The champion, and whether the server serves it.

    Parameters
    ----------
    champion : ``None`` if the ledger has never heard of the model. ``model`` : ``None`` if its folder does not load.
    server : ``None`` if the model server does not answer.
    """
    wanted = champion.version if champion else None
    state, sentence, served = _state(name, wanted, champion, server)
    if champion is None or wanted is None:
        return Serving(state, sentence, served=served)
    calendar = Calendar(model.timezone if model else "UTC", model.training.schedule if model else None)
    age = _age(champion.learned_to, calendar.local_day(now))
    limit = None if model is None else _limit(model, calendar, now)
    return Serving(
        state=state,
        sentence=sentence,
        version=wanted,
        served=served,
        candidate=champion.candidate,
        recipe=recipe_of(champion.recipe),
        learned_to=champion.learned_to,
        since=champion.since,
        age=age,
        limit=limit,
        old=None if age is None or limit is None else age > limit,
    )


def quality_of(
    champion: ChampionLine | None,
    decisions: Sequence[DecisionLine],
    nights: Sequence[str],
    model: Model | None = None,
) -> Quality | None:
    """The figures of the champion's decision, and the newest nights as points.

    Parameters
    ----------
    decisions : newest first. ``nights`` : the night of each. ``model`` : ``None`` if its folder does not load.
    """
    points: dict[str, Point] = {}
    for decision, night in zip(decisions, nights, strict=True):
        if night not in points and len(points) == POINTS:
            break
        served = decision.state in SERVED
        if night not in points or (served and not points[night].promoted):
            points[night] = Point(night, decision.gain, served, decision.version)
    newest = tuple(reversed(points.values()))
    figures = champion.figures if champion else None
    version = champion.version if champion else None
    if figures is None and not newest:
        return None
    metric = figures.metric if figures else None
    compared = model.gate.baseline_metric if model else None
    return Quality(
        version=version,
        metric=metric,
        value=figures.value if figures else None,
        over_baseline=gain_of(figures.over_baseline) if figures else None,
        over_before=gain_of(figures.over_champion) if figures else None,
        before=figures.champion if figures else None,
        points=newest,
        baseline_metric=compared if metric is not None and compared != metric else None,
    )


def gain_of(found: Interval | None) -> Gain | None:
    """A gain of the ledger; None if its value is not known."""
    return None if found is None or found.value is None else Gain(found.value, found.lower, found.upper)


def served_model(server: Server | None, name: str) -> ServedModel | None:
    """What the server says about a model; None if it does not answer, or does not know it."""
    return None if server is None else server.by_name.get(name)


def _state(
    name: str, wanted: int | None, champion: ChampionLine | None, server: Server | None
) -> tuple[ServerState, str, int | None]:
    """The state, in words, and the version that the server answers with."""
    should = f"version {wanted} should serve" if wanted is not None else "nothing should serve"
    if server is None:
        return ServerState.SILENT, f"The model server does not answer; {should}.", None
    found = served_model(server, name)
    served = found.version if found else None
    because = f": {found.problem}" if found and found.problem else ""
    if wanted is None:
        if served is not None:
            return ServerState.BEHIND, f"The server serves version {served}, but {should}.", served
        never = champion is None or champion.epoch == 0
        return ServerState.NOTHING, "Nothing has been released yet." if never else "It was taken out of service.", None
    if served == wanted and not because:
        return ServerState.SERVES, f"Version {wanted} serves.", served
    if served == wanted:
        return (
            ServerState.BEHIND,
            ended(f"Version {wanted} serves, but a newer release cannot be served{because}"),
            served,
        )
    answers = f"the server serves version {served}" if served is not None else "the server does not serve it"
    return ServerState.BEHIND, ended(f"Version {wanted} is the champion, but {answers}{because}"), served


def _age(learned_to: str | None, today: date) -> int | None:
    return None if learned_to is None else (today - date.fromisoformat(learned_to)).days


def _limit(model: Model, calendar: Calendar, now: datetime) -> int | None:
    """The age from which a champion is old: its labels, its schedule, and `OLD_DAYS`.

    ``None`` for a model that is retrained on demand: not its age, but its monitor shows whether it is stale.
    """
    period = calendar.period(now)
    if period is None:
        return None
    return OLD_DAYS + period + -(-model.data.label.delay // timedelta(days=1))
