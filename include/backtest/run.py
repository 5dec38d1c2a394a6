"""`make backtest`: replays a model's history night by night and reports the metric of each release policy."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from include import catalog, files
from include.backtest import (
    damaged_picture,
    damaged_report,
    fitting,
    picture,
    policies,
    pool,
    prequential,
    report,
)
from include.backtest.draws import Drawn, Nights, redecide
from include.backtest.history import History
from include.backtest.lab import Lab
from include.backtest.pool import Work
from include.backtest.report import Report
from include.backtest.store import Store, code_digest, key_of
from include.errors import ConfigurationError, DataError
from include.partitions import earlier, keys_between, partition
from include.progress import Progress
from include.settings import Settings
from include.sources import from_environment
from include.spec import Model
from include.training import dataset

MONTH = 30
FEW_DAYS = 5  # collecting so few days takes less time than starting worker processes
MOST_NIGHTS = 365  # the default limit; there is no limit if FIRST is given


@dataclass(frozen=True)
class Span:
    """The days of a back-test, as partition keys.

    Data is collected from ``collected``, and the as-of of the first night is ``first``. Releases are judged on days up
    to ``last``. A release model serves from ``lag`` days after its as-of.
    """

    collected: str
    first: str
    last: str
    every: int
    lag: int

    @property
    def nights(self) -> list[str]:
        """The as-ofs of the nights that the gate decides on; at least one day to judge the release on follows each."""
        return [key for at, key in enumerate(self._as_ofs) if at % self.every == 0]

    @property
    def monthly(self) -> list[str]:
        """The as-ofs of the monthly releases."""
        return [key for at, key in enumerate(self._as_ofs) if at % MONTH == 0]

    @property
    def _as_ofs(self) -> list[str]:
        return keys_between(self.first, earlier(self.last, self.lag))


def run(
    name: str,
    first: str | None,
    last: str | None,
    every: int,
    workers: int | None,
    home: Path | None,
    broken: float = 0.0,
    draws: int = 1,
    everywhere: bool = False,
) -> int:
    """Run a back-test: collect, fit, decide, score and plot.

    All files are in ``home`` (default: ``PERENNIAL_HOME/backtest/<model>``). Existing files are reused, so a back-test
    that was killed continues from the point at which it stopped.

    Parameters
    ----------
    broken : the share of nights that are broken on purpose, from 0 (none) to less than 1.
    draws : the number of random draws of broken nights; each draw is a separate history over the same sound nights.
    everywhere : whether the holdout of a broken night is damaged in the same way.

    Raises
    ------
    ConfigurationError : an unknown model, or an empty span.
    DataError : the history is too short, or no night could be judged.
    """
    model = catalog.load(name)
    connections = from_environment(model.data.connections)
    root = home or Settings.from_environment().home / "backtest" / name
    lab, store, progress = Lab(model, root), Store(root / "nights", model.training.trusted_types), Progress()
    if every < 1 or (workers is not None and workers < 1):
        raise ConfigurationError(f"every is {every} and workers {workers}: both must be whole numbers of at least 1.")
    if not 0 <= broken < 1 or draws < 1:
        raise ConfigurationError(
            f"broken is {broken} and draws {draws}: broken must be from 0 to less than 1, draws at least 1."
        )
    if everywhere and not broken:
        raise ConfigurationError("everywhere has no effect if broken is 0: set a share, e.g. 0.15.")
    span = span_of(model, lab.newest(), first, last, every)
    _introduce(progress, model, span, root, bounded=first is None)

    collect(lab, span.collected, span.last, connections, workers or processors(), progress)
    history = History.freeze(lab.lake, span.collected, span.last)
    code, count = code_digest(model), workers or processors()
    nights = _replayed(model, history, span, store, code, count, progress)
    releases = policies.releases(nights.decided, span.monthly, nights.kept)
    days: list[prequential.Day] = []
    drawn: list[Drawn] = []
    if releases:
        served = policies.served(nights.decided, releases, nights.kept)
        if broken:
            seeds = range(draws)
            drawn = redecide(model, history, nights, broken, seeds, store, count, progress, everywhere)
        for one in drawn:
            served |= one.served
        judged = len(keys_between(releases[policies.FROZEN][0], span.last)) - span.lag
        with progress.bar(f"{name}: score days", judged) as advance:
            days = prequential.score(model, history, served, span.last, advance)
    found = report.compose(model, _protocol(model, span, history, code), nights.decided, releases, days)
    if drawn:
        found = found.replace(broken=damaged_report.compose(model, broken, everywhere, drawn, days))
    _keep(model, found, root, progress)
    return 0


def _replayed(
    model: Model, history: History, span: Span, store: Store, code: str, workers: int, progress: Progress
) -> Nights:
    """Plan and fit all nights, and let the gate decide on the nights of the span."""
    plans, refused = fitting.plans(model, history, sorted({*span.nights, *span.monthly}), progress)
    works = {as_of: Work(plan, key_of(model, plan, code)) for as_of, plan in plans.items()}
    kept = fitting.fitted(model, history, store, works, workers, progress)
    refused |= {as_of: night.record.refused for as_of, night in kept.items() if night.record.refused}
    kept = {as_of: night for as_of, night in kept.items() if as_of not in refused}
    with progress.bar(f"{model.name}: decide", len(span.nights)) as advance:
        decided = policies.decide(model, span.nights, kept, plans, refused, history, advance)
    return Nights(span.nights, plans, works, kept, refused, decided)


def _keep(model: Model, found: Report, root: Path, progress: Progress) -> None:
    """Write the report, its tables and its pictures, and print the tables.

    Raises
    ------
    DataError : no day was judged; the report is written and contains the reason.
    """
    files.write(root / "report.json", (json.dumps(found.as_dict(), indent=1) + "\n").encode())
    if not found.days:
        nights = found.nights
        raise DataError(
            f"no night of {model.name} from {nights[0].as_of} to {nights[-1].as_of} led to a champion. The last "
            f"night: {nights[-1].verdict}, {nights[-1].reason} All reasons are in {root / 'report.json'}."
        )
    damaged = found.broken
    tables = report.table(model, found) + (damaged_report.text(found, damaged) if damaged else "")
    pictures = {**picture.draw(found), **(damaged_picture.draw(found, damaged) if damaged else {})}
    for file, content in {**pictures, "report.md": tables.encode()}.items():
        files.write(root / file, content)
    progress.say()
    progress.say(tables)
    progress.say("  ".join([str(root / "report.json"), "report.md", *pictures]))


def span_of(model: Model, newest: str, first: str | None, last: str | None, every: int) -> Span:
    """The days of a back-test; by default, the whole history, but at most a year of nights.

    Raises
    ------
    ConfigurationError : the labels of ``last`` are not final yet, or ``last`` is before ``first``.
    DataError : there are no days to train on before ``first``, or no days to judge on after it.
    """
    lag, training = prequential.lag_days(model), model.training
    until = partition(last or newest, model.timezone).date
    if until.isoformat() > newest:
        raise ConfigurationError(f"the labels of {until} are not final yet: LAST can be at most {newest}.")
    if first:
        begin = partition(first, model.timezone).date
        if begin > until:
            raise ConfigurationError(f"FIRST ({begin}) is after LAST ({until}).")
        dataset.windows(model, begin.isoformat())  # raises if no data precedes this day
    else:
        earliest = model.start + timedelta(days=training.days_needed - 1)
        begin = max(earliest, until - timedelta(days=lag + MOST_NIGHTS - 1))
    if begin + timedelta(days=lag) > until:
        raise DataError(
            f"too little history: the first night of {model.name} that can be judged has the as-of {begin} (the data "
            f"starts on {model.start}, a night needs {training.days_needed} days). Its model serves from "
            f"{begin + timedelta(days=lag)}, but the last day with final labels is {until}."
        )
    collected = max(model.start, begin - timedelta(days=training.days_needed - 1))
    return Span(collected.isoformat(), begin.isoformat(), until.isoformat(), every, lag)


def _introduce(progress: Progress, model: Model, span: Span, root: Path, bounded: bool) -> None:
    nights, extra = span.nights, sorted({*span.monthly} - {*span.nights})
    progress.say(
        f"{model.name}: {len(nights)} nights, as of {nights[0]} to {nights[-1]}"
        f"{f', every {span.every} days' if span.every > 1 else ''}"
        f"{f', and {len(extra)} more for the monthly policy' if extra else ''}; judged on days up to {span.last}."
    )
    if bounded and len(keys_between(span.first, span.last)) - span.lag >= MOST_NIGHTS:
        progress.say(f"At most {MOST_NIGHTS} nights are replayed unless FIRST is given.")
    progress.say(
        f"The data begins on {span.collected}, as in a deployment that started on that day. All files are in {root}."
    )


def collect(lab: Lab, first: str, last: str, connections: Mapping[str, str], workers: int, progress: Progress) -> None:
    """Collect the missing days; a day that fails validation is reported and stays missing."""
    keys = lab.missing(date.fromisoformat(first), date.fromisoformat(last))
    if not keys:
        return
    lab.lake.create()

    def here(few: Sequence[str]) -> Iterator[tuple[str, str | None]]:
        return lab.collect_days(few, connections)

    many = len(keys) > FEW_DAYS
    with (
        pool.collecting(lab.model, lab.root, connections, workers) if many else nullcontext(here) as collect,
        progress.bar(f"{lab.model.name}: collect days", len(keys)) as advance,
    ):
        for key, finding in collect(keys):
            if finding:
                progress.say(f"  {finding}")
            advance(key)


def _protocol(model: Model, span: Span, history: History, code: str) -> report.Protocol:
    """All settings that the results depend on."""
    there = history.published()
    return report.Protocol(
        collected_from=span.collected,
        missing_days=tuple(key for key in keys_between(span.collected, span.last) if key not in there),
        first_night=span.nights[0],
        last_night=span.nights[-1],
        last_day=span.last,
        every=span.every,
        monthly_days=MONTH,
        rolling_days=report.ROLLING_DAYS,
        serves_after_days=span.lag,
        training=model.training.model_dump(mode="json", exclude={"schedule", "wait_for_data"}),
        gate=model.gate.model_dump(mode="json"),
        snapshot=history.digest,
        code=code,
    )


def processors() -> int:
    """The number of processors that this process can use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
