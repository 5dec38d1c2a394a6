"""The first task of a run: freezes what it is about (rows, days, candidates, settings), or refuses."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.data.lake import Lake
from include.data.snapshots import Snapshot
from include.errors import ConfigurationError, DataError, NotReady
from include.partitions import Partition, keys_between
from include.retraining.aftermath import Aftermath
from include.spec import Candidate, Model
from include.spelling import did_you_mean
from include.training import candidates, dataset
from include.training.plan import DayCount, LabelCounts, Plan, Quarantined, Window, Windows
from include.training.rows import Rows

log = logging.getLogger(__name__)

PARAMETERS = ("as_of", "window_days", "candidates", "seed", "note", "force")
"""What a person may pass to a run; an empty value means the model's own. ``force`` runs although nothing is new."""


@dataclass(frozen=True)
class Settings:
    """The parameters of a run; ``candidates`` is None for all."""

    window_days: Window
    seed: int
    candidates: list[str] | None
    note: str
    force: bool


def take(
    model: Model,
    as_of: Partition,
    params: Mapping[str, object],
    code_digest: str,
    last: Aftermath | None,
    lake: Rows | None = None,
) -> Plan:
    """Freeze the rows and the settings of a run; everything after it reads this plan and nothing else.

    Parameters
    ----------
    params : any of `PARAMETERS`.
    code_digest : `catalog.digest` of the model, which every later task compares with its own.
    last : the newest decision and what became of it (`aftermath.read`), or None.
    lake : what to read; ``None``: the lake of this deployment.

    Raises
    ------
    NotReady : the partition of the as-of is not published yet.
    DataError : too few days or rows, or labels that were not final when they were collected; names the remedy.
    ConfigurationError : an unknown parameter or candidate.
    """
    settings = _settings(model, params)
    declared = candidates.load(model)
    chosen = candidates.choose(declared, settings.candidates)
    spans = _windows(model, as_of.key, {n: declared[n] for n in chosen}, settings.window_days)
    lake = lake or Lake.of(model)
    published = sorted(lake.published())
    if as_of.key not in published:
        newest = f"the newest is {published[-1]}" if published else "none is"
        raise NotReady(
            f"partition {as_of.key} of {model.name} is not published yet ({newest}). Collect it: run "
            f"{model.name}_collect for {as_of.key}."
        )
    first = max(min(own.train[0] for own in spans.values()), published[0])
    _refuse_missing_days(model, as_of.key, settings.window_days, published)
    snapshot = lake.snapshot(first, as_of.key)
    if snapshot.immature:
        raise DataError(
            f"the labels of {_listed(snapshot.immature)} were not final when they were collected (label.delay is "
            f"{model.data.label.delay}). Collect them again: run {model.name}_collect for them, then clear this task."
        )
    days = _count_labels(model, lake, snapshot, spans)
    plan = Plan(
        as_of=as_of.key,
        snapshot=snapshot,
        candidates=tuple(chosen),
        baseline=candidates.baseline_name(declared),
        window_days=settings.window_days,
        seed=settings.seed,
        note=settings.note,
        code_digest=code_digest,
        windows=spans,
        days=days,
        quarantined=_quarantined(lake, snapshot),
        nothing_new=None,
    )
    log.info(
        "Run about %s: snapshot %s of %d rows (%s to %s, table version %d), %d candidates, holdout %s to %s with "
        "%d labels.",
        as_of.key, snapshot.digest[:12], snapshot.rows, snapshot.first, snapshot.last, snapshot.table_version,
        len(chosen), *spans[chosen[0]].holdout, days.holdout.rows,
    )  # fmt: skip
    return plan if settings.force else plan.replace(nothing_new=nothing_new(last, plan))


def nothing_new(last: Aftermath | None, plan: Plan) -> str | None:
    """Why this run would only repeat the last decision, or None.

    It repeats it if as-of, rows, parameters and code are the same, and what the decision led to is settled
    (`Aftermath.settled`).
    """
    if last is None or not _same(last, plan):
        return None
    decision = last.decision
    settled = last.settled()
    if settled is None:
        why = last.failure() if decision.verdict == "promote" else "the champion changed, or a freeze was lifted"
        log.warning(
            "Run %s decided %s about the same rows, and this one is run all the same: %s.",
            decision.run_id, decision.verdict, why,
        )  # fmt: skip
        return None
    return (
        f"no new labels since the last decision: run {decision.run_id} about {plan.as_of}, on the same rows "
        f"({plan.snapshot.digest[:12]}), code and parameters, {settled}. Another run would give the same model. "
        "Another window or choice of candidates gives another one; another seed does so only for candidates that use "
        f"random numbers. To run it anyway: make night MODEL={decision.model} FORCE=1."
    )


def _same(last: Aftermath, plan: Plan) -> bool:
    decision = last.decision
    return (
        decision.as_of == plan.as_of
        and decision.snapshot_digest == plan.snapshot.digest
        and decision.code_digest == plan.code_digest
        and dict(decision.parameters or {}) == plan.parameters.as_dict()
    )


def _settings(model: Model, params: Mapping[str, object]) -> Settings:
    for name in params:
        if name not in PARAMETERS:
            raise ConfigurationError(f"a run of {model.name} has no parameter {name!r}{did_you_mean(name, PARAMETERS)}")
    given = params.get("window_days")
    window: Window = model.training.window_days
    if given not in (None, ""):
        window = "all" if given == "all" else _whole("window_days", given)
    seed = model.training.seed if params.get("seed") in (None, "") else _whole("seed", params["seed"])
    names: Any = params.get("candidates") or None
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",") if name.strip()]
    force = params.get("force") or False
    if not isinstance(force, bool):
        raise ConfigurationError(f"force is {force!r}: use true or false.")
    note = str(params.get("note") or "")
    return Settings(window, seed, names, note, force)


def _whole(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool) or float(value) != int(float(value)) or int(float(value)) < 0:
            raise ValueError
        return int(float(value))
    except (TypeError, ValueError):
        raise ConfigurationError(f"{name} is {value!r}: use a whole number that is not negative.") from None


def _windows(model: Model, as_of: str, declared: Mapping[str, Candidate], window_days: Window) -> dict[str, Windows]:
    return {n: dataset.windows(model, as_of, candidates.window_of(c, window_days)) for n, c in declared.items()}


def shortfall(model: Model, as_of: Partition, lake: Rows | None = None) -> str | None:
    """Why the days in the lake are not enough for a training about this day; ``None`` if they are."""
    published = sorted((lake or Lake.of(model)).published())
    if as_of.key not in published:
        return f"{as_of.key}, the newest day with final labels, is not published"
    try:
        _refuse_missing_days(model, as_of.key, model.training.window_days, published)
    except DataError as reason:
        return str(reason)
    return None


def _refuse_missing_days(model: Model, as_of: str, window_days: Window, published: list[str]) -> None:
    spans = dataset.windows(model, as_of, model.training.window_days if window_days == "all" else window_days)
    there = set(published)
    missing = [key for key in keys_between(spans.train[0], as_of) if key not in there]
    if len(missing) > model.training.max_missing_days:
        raise DataError(
            f"{len(missing)} of the {len(keys_between(spans.train[0], as_of))} days from {spans.train[0]} to {as_of} "
            f"are not in the lake ({_listed(missing)}); at most {model.training.max_missing_days} may be missing "
            f"(training.max_missing_days). Load {missing[0]} to {missing[-1]}: run {model.name}_load."
        )


def _count_labels(model: Model, lake: Rows, snapshot: Snapshot, spans: Mapping[str, Windows]) -> LabelCounts:
    """Days and rows with labels in each part of the protocol; refuses a run that cannot reach a decision."""
    frame = lake.read_snapshot(snapshot, columns=["partition", model.data.label.column])
    frame = dataset.labelled(model, frame)
    any_span = next(iter(spans.values()))
    selection, holdout = (
        DayCount(days=int(rows["partition"].nunique()), rows=len(rows))
        for rows in (dataset.between(frame, span) for span in (any_span.selection, any_span.holdout))
    )
    for name, own in spans.items():
        count = len(dataset.between(frame, own.train))
        if count < model.training.min_rows:
            raise DataError(
                f"candidate {name!r} has {count} labelled rows to train on ({own.train[0]} to {own.train[1]}); "
                f"training.min_rows is {model.training.min_rows}. Load more days with {model.name}_load, or choose a "
                "longer window."
            )
    if selection.rows == 0:
        raise DataError(f"no row of the selection days {any_span.selection[0]} to {any_span.selection[1]} has a label.")
    if holdout.days < model.gate.min_days:
        raise DataError(
            f"the holdout {any_span.holdout[0]} to {any_span.holdout[1]} has {holdout.days} days with "
            f"labels; the gate needs {model.gate.min_days} (gate.min_days). Load the missing days with "
            f"{model.name}_load."
        )
    return LabelCounts(selection=selection, holdout=holdout)


def _quarantined(lake: Rows, snapshot: Snapshot) -> Quarantined | None:
    """What validation quarantined of these days; frozen here, because a day that is collected again changes it."""
    if not isinstance(lake, Lake):
        return None
    bad = lake.quarantined(snapshot.first, snapshot.last)
    worst = max(bad.items(), key=lambda day: day[1], default=None)
    return Quarantined(rows=sum(bad.values()), days=len(bad), worst=worst)


def _listed(keys: Sequence[str], most: int = 5) -> str:
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")
