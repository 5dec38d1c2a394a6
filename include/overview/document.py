"""The overview as JSON (``GET /perennial/api/models``) and as lines (`make status`), and one model as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.overview.needs import days_named, rows_in_quarantine
from include.overview.records import Health, HealthState, IncidentOf, Live, ModelOverview, Monitored, Overview, Serving
from include.overview.wording import count


@dataclass(frozen=True)
class Watched:
    """One model as a document (``GET /perennial/api/models/<model>``): its row, incidents, and what was measured."""

    model: ModelOverview
    incidents: tuple[IncidentOf, ...]
    monitored: Monitored


def to_json(overview: Overview | Watched) -> dict[str, Any]:
    """The overview, or one model, as a JSON document; times in ISO 8601, UTC, and ``null`` for what is not known."""
    import msgspec

    # by way of the bytes, which is fast, and turns a number that is not finite into null
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(overview))
    return document


def lines(overview: Overview) -> list[str]:
    """The overview for a terminal: the headline, the problems, then a line for each model and one for what it needs."""
    found = [overview.headline, *overview.problems, *overview.incidents]
    wide = max((len(model.name) for model in overview.models), default=0)
    for model in overview.models:
        found += [f"  {model.name + ':':<{wide + 1}} {_line(model)}", *_details(model)]
    return found


def _line(model: ModelOverview) -> str:
    night = model.night
    what = str(night.outcome).upper() + (f" in {night.failed_task}" if night.failed_task else "")
    if night.version is not None:
        what += f" (version {night.version})"
    parts = [what, _service(model.serving)]
    if model.data is not None:
        newest = model.data.newest or "no day"
        parts.append(f"data up to {newest}")
    parts.append(_health(model.health))
    if model.live is not None:
        parts.append(_live(model.live))
    return "; ".join(filter(None, parts))


def _details(model: ModelOverview) -> list[str]:
    found = [line.strip() for line in model.night.sentence.splitlines() if line.strip()]
    if model.data is not None and (about := days_named(model.data)):
        found.append(f"days: {about}")
    if model.data is not None and (about := rows_in_quarantine(model.data)):
        found.append(about)
    if model.health.incident is not None:
        found.append(f"{model.health.state}: {model.health.sentence}")
    if model.freeze is not None:
        frozen = model.freeze
        found.append(f"promotion is frozen by {frozen.actor} since {frozen.since:%Y-%m-%d %H:%M} UTC: {frozen.reason}")
    if model.needs is not None:
        found.append(f"-> {model.needs}")
    return [f"      {line}" for line in found]


def _health(health: Health) -> str:
    return "health not known" if health.state is HealthState.UNKNOWN else str(health.state)


def _service(serving: Serving | None) -> str:
    if serving is None:
        return "what serves is not known"
    if serving.version is None:
        return serving.sentence.rstrip(".")
    text = f"version {serving.version} {_verb(serving)}"
    if serving.age is not None:
        old = ", too old" if serving.old else ""
        text += f", learned up to {serving.learned_to} ({count(serving.age, 'day')} old{old})"
    return text


def _verb(serving: Serving) -> str:
    return {
        "serves": "serves",
        "behind": "is the champion, but does not serve",
        "does not answer": "is the champion; whether it serves is not known",
    }.get(serving.state.value, serving.state.value)


def _live(live: Live) -> str:
    text = f"{count(live.requests, 'request')} in {live.hours:.3g} h"
    text += f", {count(live.errors, 'error')}" if live.errors else ""
    return text + (f", p95 {live.p95:.3g} ms" if live.p95 is not None else "")
