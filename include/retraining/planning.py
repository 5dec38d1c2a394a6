"""The first task of a run: freezes what it is about (rows, days, candidates, settings), or refuses."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from include.data.lake import Lake, Snapshot
from include.errors import ConfigurationError, DataError, NotReady
from include.partitions import Partition, keys_between
from include.retraining.aftermath import Aftermath
from include.spec import Candidate, Model
from include.spelling import did_you_mean
from include.training import candidates, dataset
from include.training.snapshot import Rows

log = logging.getLogger(__name__)

PARAMETERS = ("as_of", "window_days", "candidates", "seed", "note", "force")
"""What a person may hand to a run; an empty value means the model's own. ``force`` runs although nothing is new."""


def take(
    model: Model,
    as_of: Partition,
    params: Mapping[str, Any],
    code_digest: str,
    last: Aftermath | None,
    lake: Rows | None = None,
) -> dict[str, Any]:
    """Freeze the rows and the settings of a run; everything after it reads this plan and nothing else.

    Parameters
    ----------
    params : any of `PARAMETERS`.
    code_digest : `catalog.digest` of the model, which every later task compares with its own.
    last : the newest decision and what became of it (`aftermath.read`), or None.
    lake : what to read; ``None``: the lake of this deployment.

    Returns
    -------
    The plan, JSON-able: ``as_of, snapshot, candidates, window_days, seed, note, code_digest, windows`` (by candidate),
    ``days`` (rows and labels of selection and holdout), ``quarantined`` {rows, days, worst: [day, rows]} (of the
    snapshot's days; None where it is not known), ``nothing_new`` (a reason to end the run here, or None).

    Raises
    ------
    NotReady : the partition of the as-of is not published yet.
    DataError : too few days or rows, or labels that were not final when they were collected; says what to do.
    ConfigurationError : an unknown parameter or candidate.
    """
    settings = _settings(model, params)
    declared = candidates.load(model)
    chosen = candidates.choose(declared, settings["candidates"])
    spans = _windows(model, as_of.key, {n: declared[n] for n in chosen}, settings["window_days"])
    lake = lake or Lake.of(model)
    published = sorted(lake.published())
    if as_of.key not in published:
        newest = f"the newest is {published[-1]}" if published else "none is"
        raise NotReady(
            f"partition {as_of.key} of {model.name} is not published yet ({newest}). Collect it: run "
            f"{model.name}_collect for {as_of.key}."
        )
    first = _first_day(model, as_of.key, declared, chosen, settings["window_days"], published)
    _refuse_missing_days(model, as_of.key, settings["window_days"], published)
    snapshot = lake.snapshot(first, as_of.key)
    if snapshot.immature:
        raise DataError(
            f"the labels of {_listed(snapshot.immature)} were not final when they were collected (label.delay is "
            f"{model.data.label.delay}). Collect them again: run {model.name}_collect for them, then clear this task."
        )
    days = _count_labels(model, lake, snapshot, spans)
    plan: dict[str, Any] = {
        "as_of": as_of.key,
        "snapshot": snapshot.as_dict(),
        "candidates": chosen,
        "baseline": candidates.baseline_name(declared),
        "window_days": settings["window_days"],
        "seed": settings["seed"],
        "note": settings["note"],
        "code_digest": code_digest,
        "windows": {name: spans[name].as_dict() for name in chosen},
        "days": days,
        "quarantined": _quarantined(lake, snapshot),
    }
    plan["nothing_new"] = None if settings["force"] else nothing_new(last, plan)
    log.info(
        "Run about %s: snapshot %s of %d rows (%s to %s, table version %d), %d candidates, holdout %s to %s with "
        "%d labels.",
        as_of.key, snapshot.digest[:12], snapshot.rows, snapshot.first, snapshot.last, snapshot.table_version,
        len(chosen), *plan["windows"][chosen[0]]["holdout"], days["holdout"]["rows"],
    )  # fmt: skip
    return plan


def parameters(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a decision is recorded with: what makes two runs over the same data different."""
    return {name: plan[name] for name in ("candidates", "window_days", "seed")}


def nothing_new(last: Aftermath | None, plan: Mapping[str, Any]) -> str | None:
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
        f"no new labels since the last decision: run {decision.run_id} about {plan['as_of']}, on the same rows "
        f"({plan['snapshot']['digest'][:12]}), code and parameters, {settled}. The same again gives the same model; "
        "another window or choice of candidates gives another one, another seed only for candidates that use random "
        f"numbers. To run it anyway: make night MODEL={decision.model} FORCE=1."
    )


def _same(last: Aftermath, plan: Mapping[str, Any]) -> bool:
    decision = last.decision
    return (
        decision.as_of == plan["as_of"]
        and decision.snapshot_digest == plan["snapshot"]["digest"]
        and decision.code_digest == plan["code_digest"]
        and dict(decision.parameters or {}) == parameters(plan)
    )


def _settings(model: Model, params: Mapping[str, Any]) -> dict[str, Any]:
    for name in params:
        if name not in PARAMETERS:
            raise ConfigurationError(f"a run of {model.name} has no parameter {name!r}{did_you_mean(name, PARAMETERS)}")
    window: Any = params.get("window_days")
    if window in (None, ""):
        window = model.training.window_days
    elif window != "all":
        window = _whole("window_days", window)
    seed = model.training.seed if params.get("seed") in (None, "") else _whole("seed", params["seed"])
    names = params.get("candidates") or None
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",") if name.strip()]
    force = params.get("force") or False
    if not isinstance(force, bool):
        raise ConfigurationError(f"force is {force!r}: true or false is wanted.")
    note = str(params.get("note") or "")
    return {"window_days": window, "seed": seed, "candidates": names, "note": note, "force": force}


def _whole(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool) or float(value) != int(float(value)) or int(float(value)) < 0:
            raise ValueError
        return int(float(value))
    except (TypeError, ValueError):
        raise ConfigurationError(f"{name} is {value!r}: a whole number that is not negative is wanted.") from None


def _windows(
    model: Model, as_of: str, declared: Mapping[str, Candidate], window_days: dataset.WindowDays
) -> dict[str, dataset.Windows]:
    return {n: dataset.windows(model, as_of, candidates.window_of(c, window_days)) for n, c in declared.items()}


def _first_day(
    model: Model,
    as_of: str,
    declared: Mapping[str, Candidate],
    chosen: list[str],
    window_days: dataset.WindowDays,
    published: list[str],
) -> str:
    """The first day of the snapshot; for a window of all days, the first that was ever published."""
    starts = [
        dataset.windows(model, as_of, candidates.window_of(declared[name], window_days)).train[0] for name in chosen
    ]
    return max(min(starts), published[0])


def _refuse_missing_days(model: Model, as_of: str, window_days: dataset.WindowDays, published: list[str]) -> None:
    spans = dataset.windows(model, as_of, model.training.window_days if window_days == "all" else window_days)
    there = set(published)
    missing = [key for key in keys_between(spans.train[0], as_of) if key not in there]
    if len(missing) > model.training.max_missing_days:
        raise DataError(
            f"{len(missing)} of the {len(keys_between(spans.train[0], as_of))} days from {spans.train[0]} to {as_of} "
            f"are not in the lake ({_listed(missing)}); at most {model.training.max_missing_days} may be missing "
            f"(training.max_missing_days). Back-fill {model.name}_collect from {missing[0]} to {missing[-1]}."
        )


def _count_labels(
    model: Model, lake: Rows, snapshot: Snapshot, spans: Mapping[str, dataset.Windows]
) -> dict[str, dict[str, int]]:
    """Days and rows with labels in each part of the protocol; refuses a run that could not end in a decision."""
    frame = lake.read_snapshot(snapshot, columns=["partition", model.data.label.column])
    frame = dataset.labelled(model, frame)
    any_span = next(iter(spans.values()))
    found = {}
    for part, span in (("selection", any_span.selection), ("holdout", any_span.holdout)):
        rows = dataset.between(frame, span)
        found[part] = {"days": int(rows["partition"].nunique()), "rows": len(rows)}
    for name, own in spans.items():
        count = len(dataset.between(frame, own.train))
        if count < model.training.min_rows:
            raise DataError(
                f"candidate {name!r} has {count} labelled rows to train on ({own.train[0]} to {own.train[1]}); "
                f"training.min_rows is {model.training.min_rows}. Back-fill {model.name}_collect, or ask for a "
                "longer window."
            )
    if found["selection"]["rows"] == 0:
        raise DataError(f"no row of the selection days {any_span.selection[0]} to {any_span.selection[1]} has a label.")
    if found["holdout"]["days"] < model.gate.min_days:
        raise DataError(
            f"the holdout {any_span.holdout[0]} to {any_span.holdout[1]} has {found['holdout']['days']} days with "
            f"labels; the gate needs {model.gate.min_days} (gate.min_days). Back-fill {model.name}_collect for the "
            "missing ones."
        )
    return found


def _quarantined(lake: Rows, snapshot: Snapshot) -> dict[str, Any] | None:
    """What validation has kept out of these days; frozen here, because a day that is collected again changes it."""
    if not isinstance(lake, Lake):
        return None
    bad = lake.quarantined(snapshot.first, snapshot.last)
    worst = max(bad.items(), key=lambda day: day[1], default=None)
    return {"rows": sum(bad.values()), "days": len(bad), "worst": list(worst) if worst else None}


def _listed(keys: Any, most: int = 5) -> str:
    keys = list(keys)
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")
