"""The plans of many nights, and their fits: those that are not on disk yet are made, with an estimate of the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from include.backtest import pool
from include.backtest.history import History
from include.backtest.pool import Work
from include.backtest.store import Kept, Store
from include.errors import DataError, NotReady
from include.partitions import partition
from include.progress import Progress, spell
from include.retraining import planning
from include.spec import Model
from include.training.plan import Plan


def plans(
    model: Model, history: History, as_ofs: Sequence[str], progress: Progress
) -> tuple[dict[str, Plan], dict[str, str]]:
    """The plan of each night as its `snapshot` task would make it, or why it refuses."""
    found: dict[str, Plan] = {}
    refused: dict[str, str] = {}
    with progress.bar(f"{model.name}: plan nights", len(as_ofs)) as advance:
        for as_of in as_ofs:
            try:
                found[as_of] = planning.take(model, partition(as_of, model.timezone), {}, "", None, history)
            except (DataError, NotReady) as why:
                refused[as_of] = str(why)
            advance(as_of)
    if not found:
        raise DataError(f"no night of {model.name} can be trained. The first: {refused[as_ofs[0]]}")
    return found, refused


def fitted(
    model: Model,
    history: History,
    store: Store,
    works: Mapping[str, Work],
    workers: int,
    progress: Progress,
    what: str = "nights",
) -> dict[str, Kept]:
    """Fit what is not on disk yet, the first and the last night before the others, for an estimate; by the keys of
    ``works``."""
    missing = [work for work in works.values() if store.get(work.as_of, work.key) is None]
    if len(missing) < len(works):
        progress.say(f"{len(works) - len(missing)} of {len(works)} {what} are fitted already.")
    if missing:
        workers = min(workers, len(missing))
        with pool.fitting(model, history, store, workers) as fit:
            rest = missing
            if len(missing) > 2:
                progress.say(f"{model.name}: fit {len(missing)} {what}; the first and the last, for an estimate ...")
                each = [seconds for _, seconds in fit([missing[0], missing[-1]])]
                rest = missing[1:-1]
                left = spell(sum(each) / len(each) * len(rest) / workers)
                progress.say(
                    f"A night takes {min(each):.1f} to {max(each):.1f} s: about {left} for the other {len(rest)} with "
                    f"{workers} {'worker' if workers == 1 else 'workers'}."
                )
            with progress.bar(f"{model.name}: fit {what}", len(rest)) as advance:
                for as_of, _ in fit(rest):
                    advance(as_of)
    found = {name: store.get(work.as_of, work.key) for name, work in works.items()}
    return {name: night for name, night in found.items() if night}
