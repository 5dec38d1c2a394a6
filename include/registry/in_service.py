"""Which version served at a moment of the past, from the transitions that the ledger has recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select

from include.registry import schema
from include.registry.database import Database
from include.registry.ledger import TRANSITIONS
from include.settings import Settings


@dataclass(frozen=True)
class Service:
    """A version in service.

    Attributes
    ----------
    digest : of its bundle. ``since`` : when it went into service.
    early : nothing had served at the moment that was asked for, and this is the first version that ever did.
    """

    version: int
    digest: str
    since: datetime
    early: bool = False


class InService:
    """What served when, of one model. Transitions are only ever added, so the answer about the past does not change."""

    def __init__(self, transitions: Sequence[Service | datetime]) -> None:
        self._transitions = transitions

    @classmethod
    def of(cls, model: str, url: str | None = None) -> InService:
        """Read the transitions of a model.

        Parameters
        ----------
        url : of the ledger; ``None``: that of this deployment.

        Raises
        ------
        TransientError : the ledger did not answer.
        """
        url = url or Settings.from_environment().require("database_url")
        a, v = schema.audit.c, schema.version.c
        both = schema.audit.outerjoin(schema.version, (v.model == a.model) & (v.version == a.version))
        query = select(a.at, a.version, v.bundle).select_from(both)
        query = query.where(a.model == model, a.action.in_(TRANSITIONS)).order_by(a.id)
        found: list[Service | datetime] = []
        with Database(url).read(f"read what served of {model}") as connection:
            for at, version, bundle in connection.execute(query):
                since = at.astimezone(UTC)
                found.append(since if version is None or bundle is None else Service(version, bundle, since))
        return cls(found)

    def at(self, moment: datetime) -> Service | None:
        """The version that served at a moment; before the first one ever did, the first one (`Service.early`).

        None if nothing served, because the version was withdrawn, or there never was one.
        """
        served: Service | datetime | None = None
        for one in self._transitions:
            if (one if isinstance(one, datetime) else one.since) > moment:
                break
            served = one
        if isinstance(served, Service):
            return served
        if isinstance(served, datetime):
            return None
        first = next((one for one in self._transitions if isinstance(one, Service)), None)
        return None if first is None else Service(first.version, first.digest, first.since, early=True)

    def of_version(self, version: int) -> Service | None:
        """The first time that a version went into service; None if it never did."""
        found = (one for one in self._transitions if isinstance(one, Service) and one.version == version)
        return next(found, None)
