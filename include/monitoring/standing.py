"""Why the newest version of a model does not serve: the sentence that a stale model needs. From the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from include.records import Record, Text
from include.registry.ledger import Ledger
from include.registry.rows import AuditRow, DecisionRow, FreezeRow, VersionRow

LONGEST = 300
"""Characters of the reason of a decision in a sentence."""


class Why(StrEnum):
    """``serves``: the newest version serves, so there is nothing newer. ``held``: the gate asks a person. ``frozen``:
    a freeze stops its release. ``refused``: the gate rejected it. ``waiting``: it passed and is not released yet.
    ``failed``: it was not packaged, or failed in service. ``replaced``: it served, and a person went back.
    ``nothing``: the model was never trained."""

    SERVES = "serves"
    HELD = "held"
    FROZEN = "frozen"
    REFUSED = "refused"
    WAITING = "waiting"
    FAILED = "failed"
    REPLACED = "replaced"
    NOTHING = "nothing"


class Newest(Record):
    """The newest version that was decided about, and why it does not serve.

    Attributes
    ----------
    version : None if there is none. ``champion`` : the version that serves.
    run_id : the retraining that made the decision.
    sentence : for a person.
    """

    why: Why
    version: int | None = None
    champion: int | None = None
    run_id: str | None = None
    sentence: Text

    @property
    def stopped(self) -> bool:
        """Whether a person must act before a newer version can serve: another retraining would end in the same way."""
        return self.why in (Why.HELD, Why.FROZEN, Why.WAITING)


def standing(model: str, ledger: Ledger | None = None) -> Newest:
    """Why the newest version of a model does not serve, by its newest decision and what became of it."""
    ledger = ledger or Ledger.default()
    decision = ledger.last_decision(model)
    champion = ledger.standing(model).version
    if decision is None:
        return Newest(why=Why.NOTHING, champion=champion, sentence=f"{model} has not been retrained yet.")
    row = None if decision.version is None else ledger.version(model, decision.version)
    why, sentence = _of(decision, row, champion, ledger.frozen(model), ledger.history(model))
    return Newest(why=why, version=decision.version, champion=champion, run_id=decision.run_id, sentence=sentence)


def _of(
    decision: DecisionRow,
    row: VersionRow | None,
    champion: int | None,
    freeze: FreezeRow | None,
    history: Sequence[AuditRow],
) -> tuple[Why, str]:
    about = f"version {decision.version}" if decision.version is not None else "the newest version"
    made = f"{about[:1].upper()}{about[1:]}, retrained on {decision.decided_at:%Y-%m-%d} with data to {decision.as_of},"
    because = short(decision.reason)
    state = row.state if row else ""
    if champion is not None and decision.version == champion:
        return Why.SERVES, f"{made} serves: there is nothing newer."
    if state == "retired":
        ended = next((one for one in reversed(history) if one.from_version == decision.version), None)
        how = f" ({ended.action} by {ended.actor}: {short(ended.reason)})" if ended else ""
        return Why.REPLACED, f"{made} was in service and is replaced{how}."
    if state == "failed":
        return Why.FAILED, f"{made} failed its verification in service."
    packaged = row is not None and row.bundle is not None
    if freeze is not None and (packaged or decision.verdict == "promote"):
        return Why.FROZEN, f"{made} does not serve, because promotion is {short(str(freeze))}."
    if decision.verdict == "reject":
        return Why.REFUSED, f"{made} was rejected: {because}."
    if decision.verdict == "hold":
        return Why.HELD, f"{made} is held and needs a person's decision: {because}."
    if packaged:
        return Why.WAITING, f"{made} passed the gate and waits for its release: see {decision.model}_release."
    return Why.FAILED, f"{made} passed the gate and was not packaged: see the task package of run {decision.run_id}."


def short(text: str, most: int = LONGEST) -> str:
    """A reason as a part of a sentence: one line without a full stop, cut at a word."""
    line = " ".join(text.split()).rstrip(". ")
    return line if len(line) <= most else f"{line[:most].rsplit(' ', 1)[0]} ..."
