"""What became of the last decision: whether a run on the same rows could change anything, or would only repeat it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from include.registry.ledger import TRANSITIONS, Ledger
from include.registry.rows import AuditRow, DecisionRow, Standing, VersionRow

TRIES = 2
"""Runs on the same rows, code and parameters that may decide *promote* while another version serves. When the release
of the second one fails as well, a person must look: the same model would fail every night."""

SERVED = ("champion", "retired")


@dataclass(frozen=True)
class Aftermath:
    """The newest decision about a model, and what the ledger shows about it since.

    Attributes
    ----------
    version : the row of the version that was decided about.
    standing : what serves now.
    ended : what took the version out of service.
    moved : the newest change of what serves that is not about this version.
    lifted : a freeze that was lifted after the decision.
    tries : decisions *promote* on the same rows, code and parameters whose version never stayed in service.
    release_under_way : whether a release run is queued or running.
    """

    decision: DecisionRow
    version: VersionRow | None
    standing: Standing
    ended: AuditRow | None = None
    moved: AuditRow | None = None
    lifted: AuditRow | None = None
    tries: int = 1
    release_under_way: bool = False

    def settled(self) -> str | None:
        """Why a run on the same rows would change nothing, as the rest of a sentence; None: it can change something.

        * A version that serves or has served is final for these rows, as is a rollback.
        * *hold* and *reject* stay as they are until the champion changes (it was the measure) or a freeze is lifted
          (it may have made the hold).
        * A *promote* that was not carried out is tried again: always while nothing serves; while another version
          serves, `TRIES` times in all. Not while promotion is frozen, and not while its release is under way.
        """
        changed, verdict = self.moved or self.lifted, self.decision.verdict
        packaged = self.version is not None and self.version.bundle is not None
        if self.version is not None and self.version.state in SERVED:
            return f"decided {verdict}, and {self._served(self.version)}"
        if self.standing.frozen and (verdict == "promote" or packaged):
            return (
                f"decided {verdict}, and promotion of {self._model} is frozen ({self.standing.frozen_reason}). Lift "
                f'the freeze with `make unfreeze MODEL={self._model} REASON="..."`: the next run tries again'
            )
        if verdict != "promote":
            return None if changed else f"decided {verdict}"
        if self.release_under_way:
            return (
                f"decided promote, and a run of {self._model}_release is queued or running. Wait for its end; if it "
                f"does not start, unpause {self._model}_release in Airflow"
            )
        if self.standing.version is None or changed or self.tries < TRIES:
            return None
        return (
            f"decided promote, and {self.tries} such runs ended without a release: {self.failure()}. Version "
            f"{self.standing.version} still serves. Fix the cause first: the same model would fail again"
        )

    def failure(self) -> str:
        """What happened to a version that was to be promoted and does not serve."""
        if self.version is None:
            return f"run {self.decision.run_id} made no version"
        number = self.version.version
        if self.version.state == "failed":
            why = f": {_short(self.ended.reason)}" if self.ended else ""
            return f"version {number} failed its verification in service{why}"
        if self.version.bundle is None:
            return f"version {number} was not packaged (see the task package of run {self.decision.run_id})"
        return f"version {number} is packaged and was not put into service (see the last run of {self._model}_release)"

    @property
    def _model(self) -> str:
        return self.decision.model

    def _served(self, version: VersionRow) -> str:
        if version.state == "champion":
            return f"version {version.version} serves"
        ended = f" ({self.ended.action} by {self.ended.actor}: {_short(self.ended.reason)})" if self.ended else ""
        return f"version {version.version} was in service and is replaced{ended}"


def read(
    model_name: str, release_under_way: Callable[[VersionRow | None], bool] = lambda version: False
) -> Aftermath | None:
    """The newest decision about a model and what became of it; None if there is no decision yet.

    Parameters
    ----------
    release_under_way : whether a release of the version that was decided about waits or runs; asked if it matters.
    """
    ledger = Ledger.default()
    decision = ledger.last_decision(model_name)
    if decision is None:
        return None
    versions = {row.version: row for row in ledger.versions(model_name)}
    version = versions.get(decision.version) if decision.version is not None else None
    open_promotion = decision.verdict == "promote" and (version is None or version.state not in SERVED)
    since = [row for row in ledger.history(model_name) if row.at > decision.decided_at]
    changes = [row for row in since if row.action in TRANSITIONS]
    others = [row for row in changes if decision.version not in (row.version, row.from_version)]
    return Aftermath(
        decision,
        version,
        ledger.standing(model_name),
        ended=_last(row for row in changes if row.from_version == decision.version),
        moved=_last(others),
        lifted=_last(row for row in since if row.action == "unfreeze"),
        tries=_tries(ledger.decisions(model_name, decision.as_of), decision, versions),
        release_under_way=open_promotion and release_under_way(version),
    )


def _tries(decisions: Sequence[DecisionRow], last: DecisionRow, versions: dict[int, VersionRow]) -> int:
    """How many decisions *promote* on the same rows, code and parameters did not bring a version into service."""
    found = 0
    for row in decisions:
        same = (row.verdict, row.snapshot_digest, row.code_digest, row.parameters) == (
            "promote", last.snapshot_digest, last.code_digest, last.parameters,
        )  # fmt: skip
        version = versions.get(row.version) if row.version is not None else None
        found += same and (version is None or version.state not in SERVED)
    return found


def _last(rows: Iterable[AuditRow]) -> AuditRow | None:
    return next(iter(reversed(list(rows))), None)


def _short(text: str, most: int = 300) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= most else f"{line[:most].rsplit(' ', 1)[0]} ..."
