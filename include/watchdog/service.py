"""A model server that does not answer, or that does not serve the version of the ledger. Pure.

A promotion or a restart takes seconds, so only what two looks in a row have found is an incident.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from include.overview.records import ModelOverview, ServerState
from include.registry import addresses
from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.watchdog.records import Evidence, Findings, Unsure
from include.watchdog.wording import moment

PREFIX = "server:"
"""Of the causes: other incidents of this kind are not those of the watchdog."""
BEHIND, SILENT = f"{PREFIX}behind", f"{PREFIX}silent"
RELEASE = timedelta(minutes=5)
"""How long a release may take from the ledger to the servers."""


def silent(models: Sequence[ModelOverview]) -> bool:
    """Whether the model server did not answer; False without a model, because then nothing can serve."""
    return any(one.serving is not None and one.serving.state is ServerState.SILENT for one in models)


def behind(models: Sequence[ModelOverview], now: datetime) -> frozenset[str]:
    """The models of which the server does not serve the version of the ledger, although it had the time for it."""
    return frozenset(
        one.name
        for one in models
        if one.serving is not None
        and one.serving.state is ServerState.BEHIND
        and (one.serving.since is None or now - one.serving.since >= RELEASE)
    )


def service(models: Sequence[ModelOverview], known: Evidence, now: datetime) -> Findings:
    """What two looks at the model server show."""
    if not known.served:
        return Findings()
    if silent(models):
        unsure = frozenset(Unsure(one.name, IncidentKind.SERVICE, BEHIND) for one in models)
        if not known.silent:
            return Findings(unsure=unsure | {Unsure("", IncidentKind.SERVICE, SILENT)})
        return Findings((_silent(models, now),), unsure)
    now_behind = behind(models, now)
    confirmed = now_behind & (known.behind or frozenset())
    unsure = frozenset(
        Unsure(one.name, IncidentKind.SERVICE, BEHIND)
        for one in models
        if one.name not in confirmed and one.serving is not None and one.serving.state is ServerState.BEHIND
    )
    return Findings(tuple(_behind(one, now) for one in models if one.name in confirmed), unsure)


def _silent(models: Sequence[ModelOverview], now: datetime) -> Seen:
    champions = sum(one.serving is not None and one.serving.version is not None for one in models)
    return Seen(
        model="",
        kind=IncidentKind.SERVICE,
        cause=SILENT,
        severity=Severity.CRITICAL if champions else Severity.WARNING,
        since=moment(now),
        what="The model server does not answer.",
        how_bad=f"{champions} of {len(models)} models have a champion that is possibly not served.",
        todo="Look at the log of the model server, and start it again.",
        page=addresses.MODELS,
    )


def _behind(of: ModelOverview, now: datetime) -> Seen:
    assert of.serving is not None
    return Seen(
        model=of.name,
        kind=IncidentKind.SERVICE,
        cause=BEHIND,
        severity=Severity.CRITICAL,
        since=moment(of.serving.since or now),
        what=f"The model server does not serve the version of {of.name} that the ledger determines.",
        how_bad=of.serving.sentence,
        done="perennial_reconcile writes the release record of the ledger again if it differs.",
        todo="Read the log of the model server.",
        page=addresses.of_model(of.name),
    )
