"""The numbers of versions, allocated once for each run, and the versions of MLflow that stand for them."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select, update

from include.errors import IntegrityError, ReleaseError
from include.registry import schema
from include.registry.database import Database
from include.registry.rows import NumberRow


class Numbers:
    """Version numbers; the lowest part of `include.registry.ledger.Ledger`."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def allocate(self, model: str, run_id: str, mlflow_run_id: str | None = None, at_least: int = 1) -> NumberRow:
        """The number of the version that a run makes: always the same for one run, and never that of another run.

        Parameters
        ----------
        mlflow_run_id : the MLflow run that the version comes from; it can be replaced until the version is in MLflow.
        at_least : the lowest new number. With the next number of MLflow, both numberings stay equal.
        """
        n = schema.version_number.c
        with self._database.change(model, f"number the version of run {run_id!r} of {model}") as connection:
            row = self._number(connection, n.model == model, n.run_id == run_id)
            if row is None:
                newest = connection.execute(select(func.max(n.version)).where(n.model == model)).scalar() or 0
                number = max(newest + 1, at_least)
                new = {"model": model, "version": number, "run_id": run_id, "mlflow_run_id": mlflow_run_id}
                connection.execute(insert(schema.version_number).values(**new))
            elif mlflow_run_id and row.mlflow_version is None and row.mlflow_run_id != mlflow_run_id:
                where = (n.model == model, n.run_id == run_id)
                connection.execute(update(schema.version_number).where(*where).values(mlflow_run_id=mlflow_run_id))
            found = self._number(connection, n.model == model, n.run_id == run_id)
        if found is None:
            raise IntegrityError(f"the ledger did not keep the number of run {run_id!r} of {model}.")
        return found

    def number(self, model: str, version: int) -> NumberRow:
        """The run of a version, and its version in MLflow.

        Raises
        ------
        ReleaseError : the ledger never gave this number.
        """
        n = schema.version_number.c
        with self._database.read(f"read the number of version {version} of {model}") as connection:
            row = self._number(connection, n.model == model, n.version == version)
        if row is None:
            raise ReleaseError(f"{model} has no version {version} in the ledger.")
        return row

    def number_of_run(self, model: str, run_id: str) -> NumberRow | None:
        """The number that was allocated for a run; ``None`` before that."""
        n = schema.version_number.c
        with self._database.read(f"read the number of run {run_id!r} of {model}") as connection:
            return self._number(connection, n.model == model, n.run_id == run_id)

    def unregistered(self, model: str, before: int) -> list[NumberRow]:
        """The versions with a lower number that MLflow does not have, oldest first."""
        n = schema.version_number.c
        query = (
            select(schema.version_number)
            .where(n.model == model, n.version < before, n.mlflow_version.is_(None))
            .order_by(n.version)
        )
        with self._database.read(f"read the versions of {model} that MLflow does not have") as connection:
            return [NumberRow.of(row) for row in connection.execute(query)]

    def set_mlflow_version(self, model: str, version: int, mlflow_version: int) -> None:
        """Name the version of MLflow that stands for a version; an earlier mapping to it is removed."""
        n = schema.version_number.c
        with self._database.change(model, f"map version {version} of {model} to MLflow") as connection:
            others = (n.model == model, n.mlflow_version == mlflow_version, n.version != version)
            connection.execute(update(schema.version_number).where(*others).values(mlflow_version=None))
            where = (n.model == model, n.version == version)
            connection.execute(update(schema.version_number).where(*where).values(mlflow_version=mlflow_version))

    def forget_mlflow(self, model: str) -> int:
        """Remove the mappings of all versions of a model, because MLflow has lost them; returns how many there were."""
        n = schema.version_number.c
        with self._database.change(model, f"forget the versions of {model} in MLflow") as connection:
            where = (n.model == model, n.mlflow_version.is_not(None))
            return connection.execute(update(schema.version_number).where(*where).values(mlflow_version=None)).rowcount

    # -- inside a transaction

    def _number(self, connection: Connection, *where: object) -> NumberRow | None:
        row = connection.execute(select(schema.version_number).where(*where)).one_or_none()  # type: ignore[arg-type]
        return None if row is None else NumberRow.of(row)
