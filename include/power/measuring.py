"""`make gate-power`: the cost of lag, the uncertainty of a comparison, and what a gate promotes, by margin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from include import catalog, files
from include.backtest import pool, run
from include.backtest.history import History
from include.backtest.lab import Lab
from include.backtest.store import code_digest
from include.errors import ConfigurationError, DataError
from include.partitions import earlier, keys_between, partition
from include.power import aged, figures, picture, recipe
from include.power import report as power_report
from include.power.aged import Fit
from include.progress import Progress
from include.settings import Settings
from include.sources import from_environment
from include.spec import Model
from include.spelling import did_you_mean
from include.training import candidates

FEWEST_NIGHTS, MOST_DAYS = 5, 365


@dataclass(frozen=True)
class Sample:
    """The nights that are sampled: fits end on ``nights`` and up to `figures.OLDEST` days before, and are judged
    on the days up to ``last``; data from ``collected``."""

    collected: str
    nights: list[str]
    last: str
    every: int


def measure(
    name: str,
    first: str | None,
    last: str | None,
    every: int,
    workers: int | None,
    home: Path | None,
    candidate: str | None = None,
) -> int:
    """Collect, fit, compare, draw; ``home`` is that of the back-test, and what exists already is used again.

    Parameters
    ----------
    candidate : whose fits are compared; ``None``: the one that wins most of a few nights' selections.

    Raises
    ------
    ConfigurationError : an unknown model or candidate, or an empty span.
    DataError : too little history.
    """
    model = catalog.load(name)
    connections = from_environment(model.data.connections)
    root = home or Settings.from_environment().home / "backtest" / name
    lab, progress = Lab(model, root), Progress()
    if every < 1 or (workers is not None and workers < 1):
        raise ConfigurationError(f"every is {every} and workers {workers}: both must be whole numbers of at least 1.")
    declared = candidates.load(model)
    if candidate is not None and candidate not in declared:
        raise ConfigurationError(f"{name} has no candidate {candidate!r}{did_you_mean(candidate, declared)}")
    sample = sample_of(model, lab.newest(), first, last, every)
    progress.say(
        f"{name}: {len(sample.nights)} nights, {sample.nights[0]} to {sample.nights[-1]}, every {every} days; judged "
        f"on days up to {sample.last}. Data since {sample.collected}; all in {root}."
    )
    many = workers or run.processors()
    run.collect(lab, sample.collected, sample.last, connections, many, progress)
    history = History.freeze(lab.lake, sample.collected, sample.last)
    code = code_digest(model)
    won: dict[str, str] = {}
    if candidate is None:
        won = recipe.winners(model, history, root, sample.nights, code, many, progress)
        progress.say(recipe.sentence(won))
    chosen = candidate or recipe.most_frequent(won)
    fits = _fits(model, history, chosen, sample, code, root / "power")
    _made(model, history, fits, many, progress)

    with progress.bar(f"{name}: compare", len(sample.nights)) as advance:
        found = figures.of(model, fits, sample.nights, advance)
    sampled = power_report.Sampled(
        candidate=chosen,
        selections=won or None,
        first_night=sample.nights[0],
        last_night=sample.nights[-1],
        every=every,
        last_day=sample.last,
        snapshot=history.digest,
        code=code,
    )
    report = power_report.compose(model, sampled, found)
    files.write(root / "power.json", (json.dumps(report.as_dict(), indent=1) + "\n").encode())
    text = power_report.markdown(report)
    for file, content in {**picture.draw(report), "power.md": text.encode()}.items():
        files.write(root / file, content)
    progress.say()
    progress.say(text)
    progress.say(f"{root / 'power.json'}  power.md  power.svg  power.png")
    return 0


def sample_of(model: Model, newest: str, first: str | None, last: str | None, every: int) -> Sample:
    """The nights of a measurement; what is not given is as long as the history, and at most a year.

    Raises
    ------
    ConfigurationError : ``last`` is not over, or ``first`` is before every fit has its whole window.
    DataError : too few nights.
    """
    until = partition(last or newest, model.timezone).date
    if until.isoformat() > newest:
        raise ConfigurationError(f"the labels of {until} are not final yet: LAST can be at most {newest}.")
    declared = candidates.load(model).values()
    lengths = [candidates.window_of(one, model.training.window_days) for one in declared]
    window = max([model.training.window_days, *(length for length in lengths if isinstance(length, int))])
    before = timedelta(days=figures.OLDEST + window - 1)
    end = until - timedelta(days=max(figures.holdouts(model)))
    earliest = model.start + before
    begin = partition(first, model.timezone).date if first else max(earliest, end - timedelta(days=MOST_DAYS - 1))
    if begin < earliest:
        raise ConfigurationError(
            f"FIRST can be {earliest} at the earliest: {model.name} starts on {model.start}, and a fit that is "
            f"{figures.OLDEST} days old needs its {window} days, too."
        )
    nights = keys_between(begin.isoformat(), end.isoformat())[::every] if begin <= end else []
    if len(nights) < FEWEST_NIGHTS:
        raise DataError(
            f"too little history: {len(nights)} nights of {model.name} from {begin} to {end} (every {every} days) can "
            f"be measured, and {FEWEST_NIGHTS} are needed. A night needs {before.days + 1} days before it from "
            f"{model.start} on, and {(until - end).days} after it."
        )
    return Sample((begin - before).isoformat(), nights, until.isoformat(), every)


def _fits(model: Model, history: History, name: str, sample: Sample, code: str, root: Path) -> dict[str, Fit]:
    """The fits of every night, by the day that they end on."""
    ends = {earlier(night, lag) for night in sample.nights for lag in figures.AGES}
    reach = figures.reach(model)
    return {end: aged.planned(model, history, name, end, reach, code, root) for end in sorted(ends)}


def _made(model: Model, history: History, fits: Mapping[str, Fit], workers: int, progress: Progress) -> None:
    """Make what is not on disk yet."""
    missing = [fit for fit in fits.values() if not fit.path.is_file()]
    if len(missing) < len(fits):
        progress.say(f"{len(fits) - len(missing)} of {len(fits)} fits are made already.")
    if not missing:
        return
    with (
        pool.calling(aged.make, model, history, min(workers, len(missing))) as make,
        progress.bar(f"{model.name}: fit and score", len(missing)) as advance,
    ):
        for end in make(missing):
            advance(end)
