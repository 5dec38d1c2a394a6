"""Who looks at a page, and which models this user can read: what Airflow answers, asked once for each page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.utils.session import create_session
from fastapi import Depends, HTTPException
from sqlalchemy import text

from include import catalog
from include.spelling import nearest

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SHOWS_A_MODEL = ("retrain", "broken")
"""Kinds of DAGs. Who can read one of these DAGs of a model can read its pages; a broken folder has no ``retrain``."""
LONGEST_QUERY = "5s"


@contextmanager
def metadata() -> Iterator[Session]:
    """A session of Airflow's database that cannot write, and whose queries end after `LONGEST_QUERY`."""
    with create_session(scoped=False) as session:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SET TRANSACTION READ ONLY"))
            session.execute(text(f"SET LOCAL statement_timeout = '{LONGEST_QUERY}'"))
        yield session


@dataclass(frozen=True)
class Reader:
    """A user of Airflow, and the ids of the DAGs that the user can read."""

    name: str
    dag_ids: frozenset[str]

    @property
    def models(self) -> frozenset[str]:
        """The names of the models whose pages the user can read."""
        endings = tuple(f"_{kind}" for kind in SHOWS_A_MODEL)
        return frozenset(
            dag_id.removesuffix(ending) for dag_id in self.dag_ids for ending in endings if dag_id.endswith(ending)
        )

    def require(self, model: str, kind: str | None = None) -> None:
        """Refuse a user who cannot read a model, or its DAG of this kind.

        Raises
        ------
        HTTPException : 404 for a name that no folder has, else 403.
        """
        if model not in self.models:
            if model in catalog.folders():
                raise HTTPException(
                    403, f"You may not read the DAGs of {model} in Airflow, or Airflow has not read its folder yet."
                )
            near = nearest(model, self.models)
            raise HTTPException(404, f"There is no model {model}." + (f" Did you mean {near}?" if near else ""))
        if kind is not None and f"{model}_{kind}" not in self.dag_ids:
            raise HTTPException(403, f"You may not read the DAG {model}_{kind} in Airflow.")


def logged_in(user: GetUserDep) -> None:
    """Refuse everyone without a login; a dependency of every route."""


def reader(user: GetUserDep) -> Reader:
    """The user of a request, as a dependency."""
    with metadata() as session:
        allowed = get_auth_manager().get_authorized_dag_ids(user=user, session=session)
    return Reader(user.get_name(), frozenset(allowed))


ReaderDep = Annotated[Reader, Depends(reader)]
