"""The recipe that a model's nights choose: the candidate that wins most of their selections."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from include import files
from include.backtest import pool
from include.backtest.history import History
from include.backtest.store import Store, key_of
from include.errors import DataError, NotReady
from include.partitions import partition
from include.progress import Progress
from include.retraining import night, planning
from include.spec import Model
from include.training.plan import Plan

NIGHTS = 15
"""How many nights make their selection: evenly spaced, with the first and the last of all nights."""


def winners(
    model: Model, history: History, root: Path, nights: Sequence[str], code: str, workers: int, progress: Progress
) -> dict[str, str]:
    """The candidate that each of up to `NIGHTS` nights selects; one that a real night would refuse is left out.

    Parameters
    ----------
    root : the home of a back-test: what it has fitted (`Store`) is used, and the others are kept below ``power``.
    code : `store.code_digest`.

    Raises
    ------
    DataError : no night selects a candidate.
    """
    store, won, chosen = Store(root / "nights", model.training.trusted_types), {}, spread(nights, NIGHTS)
    asked: list[tuple[Plan, Path]] = []
    for as_of in chosen:
        try:
            plan = planning.take(model, partition(as_of, model.timezone), {}, "", None, history)
        except (DataError, NotReady):
            continue
        key = key_of(model, plan, code)
        kept = store.get(as_of, key)
        if kept is not None and not kept.record.refused:
            won[as_of] = kept.winner
        else:
            asked.append((plan, root / "power" / f"{as_of}-selection-{key[:16]}.json"))
    missing = [one for one in asked if not one[1].is_file()]
    if missing:
        with (
            pool.calling(_select, model, history, min(workers, len(missing))) as ask,
            progress.bar(f"{model.name}: select", len(missing)) as advance,
        ):
            for as_of in ask(missing):
                advance(as_of)
    for about, path in asked:
        winner = json.loads(path.read_bytes())["challenger"]
        if winner:
            won[about.as_of] = winner
    if not won:
        raise DataError(
            f"no candidate of {model.name} could be selected on {', '.join(chosen)}: name one (CANDIDATE=...)."
        )
    return dict(sorted(won.items()))


def most_frequent(won: Mapping[str, str]) -> str:
    """The candidate that won most often; of equal ones that of the newest night."""
    counts = Counter(won.values())
    return max(reversed(list(won.values())), key=lambda name: counts[name])


def sentence(won: Mapping[str, str]) -> str:
    """Who won, in one sentence."""
    counts = ", ".join(f"{name} {count}" for name, count in Counter(won.values()).most_common())
    return f"The recipe is {most_frequent(won)}: selections won on {len(won)} nights: {counts}."


def spread(nights: Sequence[str], count: int) -> list[str]:
    """``count`` of the nights, evenly spaced, with the first and the last."""
    if len(nights) <= count:
        return list(nights)
    return [nights[round(at * (len(nights) - 1) / (count - 1))] for at in range(count)]


def _select(model: Model, history: History, asked: tuple[Plan, Path]) -> str:
    """The challenger of one night, kept in a file; null if it has none."""
    plan, path = asked
    winner: str | None
    try:
        winner = night.winner_of(model, plan, night.try_all(model, plan, history)).candidate
    except DataError:
        winner = None
    files.write(path, json.dumps({"challenger": winner}).encode())
    return plan.as_of
