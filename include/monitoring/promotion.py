"""Why the newest version of a model does not serve: the sentence that a stale model needs. From the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from include.monitoring.policy import Newest, Promotion
from include.records import Record, Text
from include.registry.ledger import Ledger
from include.registry.rows import AuditRow, DecisionRow, VersionRow

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


PROMOTIONS = {
    Why.HELD: Promotion.HELD,
    Why.FROZEN: Promotion.FROZEN,
    Why.REFUSED: Promotion.REFUSED,
    Why.FAILED: Promotion.REFUSED,
    Why.WAITING: Promotion.WAITING,
}
"""As the policy tells them apart; the others are normal."""


class Standing(Record):
    """The newest version that was decided about, and why it does not serve.

    Attributes
    ----------
    version : None if there is none. ``champion`` : the version that serves.
    run_id : the retraining that made the decision.
    freeze : who froze promotion, since when and why, also if it is not the reason; None if it is not frozen.
    because : the reason as the end of a sentence. ``sentence`` : the whole of it.
    """

    why: Why
    version: int | None = None
    champion: int | None = None
    run_id: str | None = None
    freeze: str | None = None
    because: Text
    sentence: Text

    @property
    def newest(self) -> Newest:
        """The same, as the policy reads it. A freeze comes first: while it lasts, nothing newer can serve."""
        if self.freeze is not None:
            version = None if self.why is Why.SERVES else self.version
            return Newest(promotion=Promotion.FROZEN, version=version, why=self.freeze)
        promotion = PROMOTIONS.get(self.why, Promotion.NORMAL)
        if promotion is Promotion.NORMAL:
            return Newest()
        return Newest(promotion=promotion, version=self.version, why=self.because)


def standing(model: str, ledger: Ledger | None = None) -> Standing:
    """Why the newest version of a model does not serve, by its newest decision and what became of it."""
    ledger = ledger or Ledger.default()
    decision, freeze = ledger.last_decision(model), ledger.frozen(model)
    champion, frozen = ledger.standing(model).version, None if freeze is None else short(str(freeze))
    if decision is None:
        never = f"{model} has not been retrained yet"
        return Standing(why=Why.NOTHING, champion=champion, freeze=frozen, because=never, sentence=f"{never}.")
    row = None if decision.version is None else ledger.version(model, decision.version)
    why, what = _of(decision, row, champion, frozen, ledger.history(model))
    made = f"retrained on {decision.decided_at:%Y-%m-%d} with data to {decision.as_of}, {what}"
    name = "The newest version" if decision.version is None else f"Version {decision.version}"
    return Standing(
        why=why,
        version=decision.version,
        champion=champion,
        run_id=decision.run_id,
        freeze=frozen,
        because=made,
        sentence=f"{name}, {made}.",
    )


def _of(
    decision: DecisionRow, row: VersionRow | None, champion: int | None, frozen: str | None, history: Sequence[AuditRow]
) -> tuple[Why, str]:
    """Why a version does not serve, and the verb of the sentence about it."""
    because, state = short(decision.reason), row.state if row else ""
    if champion is not None and decision.version == champion:
        return Why.SERVES, "serves: there is nothing newer"
    if state == "retired":
        ended = next((one for one in reversed(history) if one.from_version == decision.version), None)
        how = f" ({ended.action} by {ended.actor}: {short(ended.reason)})" if ended else ""
        return Why.REPLACED, f"was in service and is replaced{how}"
    if state == "failed":
        return Why.FAILED, "failed its verification in service"
    packaged = row is not None and row.bundle is not None
    if frozen is not None and (packaged or decision.verdict == "promote"):
        return Why.FROZEN, f"does not serve, because promotion is {frozen}"
    if decision.verdict == "reject":
        return Why.REFUSED, f"was rejected because {because}"
    if decision.verdict == "hold":
        return Why.HELD, f"is held and needs a person's decision: {because}"
    if packaged:
        return Why.WAITING, f"passed the gate and waits for its release: see {decision.model}_release"
    return Why.FAILED, f"passed the gate and was not packaged: see the task package of run {decision.run_id}"


def short(text: str, most: int = LONGEST) -> str:
    """A reason as a part of a sentence: one line without a full stop, cut at a word."""
    line = " ".join(text.split()).rstrip(". ")
    return line if len(line) <= most else f"{line[:most].rsplit(' ', 1)[0]} ..."
