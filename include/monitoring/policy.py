"""What follows from what was measured: whether the monitor starts a retraining, and the reason in one sentence.

A model is retrained if a newer fit is better (the paired rule), or if its scores drift while inputs have values that
the reference does not have. Drift of features alone does not retrain: it did not predict losses (measured: correlation
-0.09). Damaged rows never retrain. Cool-down and budget are counted in the ledger, not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from include.data.monitoring import Kind, Measured
from include.monitoring import alarm, counters, drift, staleness
from include.monitoring.alarm import Alarm
from include.monitoring.wording import count, number
from include.records import PartitionKey, Record
from include.spec import Model
from include.statistics.results import Cause, Result

STALE, SCORE_DRIFT = "stale", "score_drift"


@dataclass(frozen=True)
class Action:
    """What the monitor does about a model.

    Attributes
    ----------
    cause : ``"stale"`` or ``"score_drift"``: what asks for a retraining, also if there is none; ``""``: nothing does.
    reason : one sentence; also why there is no retraining.
    """

    retrain: bool
    cause: str
    reason: str


class Labels(Record):
    """From which days the champion (its release fit) has learned, and up to which day labels are final."""

    learned_until: PartitionKey | None
    matured_until: PartitionKey | None


class Promotion(StrEnum):
    """What became of the newest versions. ``normal``: nothing holds them."""

    NORMAL = "normal"
    FROZEN = "frozen"
    HELD = "held"
    REFUSED = "refused"
    WAITING = "waiting"


class Newest(Record):
    """The state of the newest version that is not the champion.

    ``why`` : the reason of the freeze, of the gate or of the refusal, as the end of a sentence; ``""``: not known.
    """

    promotion: Promotion = Promotion.NORMAL
    version: int | None = None
    why: str = ""

    @property
    def sentence(self) -> str:
        """``promotion is held (v7: ...)``."""
        words = {
            Promotion.NORMAL: "no newer version has been promoted yet",
            Promotion.FROZEN: "promotion is frozen",
            Promotion.HELD: "promotion is held by the gate",
            Promotion.REFUSED: "the newest run was refused",
            Promotion.WAITING: "the newest version waits for an approval",
        }
        about = ": ".join(filter(None, (f"v{self.version}" if self.version else "", self.why.rstrip(" ."))))
        return words[self.promotion] + (f" ({about})" if about else "")


def decide(model: Model, key: str, rows: Sequence[Measured], labels: Labels, newest: Newest) -> Action:
    """Decide whether the monitor starts a retraining after the day ``key``.

    Parameters
    ----------
    rows : of the table `monitoring`, the last `days_needed` days up to and including ``key``.
    """
    by_subject = alarm.series(rows)
    stale = stale_alarm(model, key, by_subject)
    scores = [one for one in score_alarms(model, key, by_subject) if one.fires]
    novel = novelties(key, rows)
    if stale.fires:
        cause, why = STALE, stale_sentence(stale)
    elif scores and novel:
        cause, why = SCORE_DRIFT, f"{scores[0].sentence}, and {novel[0].sentence}"
    else:
        return Action(False, "", _quiet(stale, scores))
    against = _against(model, key, rows, labels, newest, cause)
    if against:
        return Action(False, cause, f"No retraining: {against}. What asks for it: {why}.")
    return Action(True, cause, f"Retraining, because {why}.")


def days_needed(model: Model) -> int:
    """The days of the table that `decide` and `findings.find` look at."""
    return max(35, model.monitoring.of_days, model.monitoring.paired_days)


def stale_alarm(model: Model, key: str, by_subject: alarm.Series) -> Alarm:
    """The paired rule over the days on which the champion of ``key`` was judged."""
    days = by_subject.get(("", staleness.MEASURE), [])
    today = [one for one in days if one.partition == key]
    version = today[-1].version if today else None
    return alarm.judge(days, "", staleness.MEASURE, key, model.monitoring, version)


def score_alarms(model: Model, key: str, by_subject: alarm.Series) -> list[Alarm]:
    """The rule for the score, or for that of each class."""
    found = []
    for (subject, measure), days in by_subject.items():
        one = days[-1]
        if one.kind is Kind.DRIFT and drift.is_score(one.result) and drift.decides(one.result):
            found.append(alarm.judge(days, subject, measure, key, model.monitoring))
    return found


def stale_sentence(stale: Alarm) -> str:
    """``the champion is 0.031 worse than a newer fit, on 3 of the last 5 days ..``."""
    value = stale.newest.value if stale.newest and stale.newest.value is not None else 0.0
    return f"the champion is stale by {number(value)}: {stale.sentence}"


def novelties(key: str, rows: Sequence[Measured]) -> list[Result]:
    """The violated counters of the day that are not data faults: new categories."""
    today = [one.result for one in rows if one.partition == key and one.kind is Kind.COUNTER and not one.slice]
    return [one for one in today if one.violated and one.cause is Cause.DRIFT]


def faults(model: Model, key: str, rows: Sequence[Measured]) -> list[Measured]:
    """The data faults that a fit would learn from: of the last ``of_days``, and gross ones of the last ``paired_days``
    days; the newest first. That a day arrived late is not a fault of its rows."""
    spans = {False: model.monitoring.of_days, True: model.monitoring.paired_days}
    first = {kind: (date.fromisoformat(key) - timedelta(days=span - 1)).isoformat() for kind, span in spans.items()}
    found = [
        one
        for one in rows
        if one.kind is Kind.COUNTER
        and one.result.violated
        and one.result.cause is Cause.DATA
        and one.result.measure != "late_day"
        and min(first[False], first[counters.gross(one.result)]) <= one.partition <= key
    ]
    return sorted(found, key=lambda one: one.partition, reverse=True)


def _against(
    model: Model, key: str, rows: Sequence[Measured], labels: Labels, newest: Newest, cause: str
) -> str | None:
    """Why there is no retraining although something asks for it, as the end of a sentence."""
    damaged = faults(model, key, rows)
    if damaged:
        worst = damaged[0]
        more = f", and {count(len(damaged) - 1, 'more finding')}" if len(damaged) > 1 else ""
        return f"the rows of the newest days are damaged ({worst.partition}: {worst.result.sentence}{more})"
    if staleness.nightly(model):
        if cause == STALE:
            return f"the model retrains every night, and is stale because {newest.sentence}"
        return "the model retrains every night by its own schedule"
    if not model.monitoring.retrain:
        return "monitoring.retrain is False, so a person starts retrainings"
    if labels.matured_until is None or labels.learned_until is None:
        return "it is not known whether there are labels that the champion has not learned from"
    if labels.matured_until <= labels.learned_until:
        return (
            f"no new labels: retraining is pointless (the champion has learned from all days up to "
            f"{labels.learned_until}, and labels are final up to {labels.matured_until})"
        )
    return None


def _quiet(stale: Alarm, scores: Sequence[Alarm]) -> str:
    if scores:
        return f"No retraining: {scores[0].sentence}, but no input has values that the reference does not have."
    if stale.newest is not None and not stale.newest.known:
        return f"No retraining: {stale.newest.sentence}, and the scores do not drift."
    return "No retraining: neither the paired rule nor the scores ask for one."
