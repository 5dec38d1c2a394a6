"""`make monitor-power`: drift that is caught, alarms that are false, and damage that is named, on a model's history."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from include import catalog, files
from include.backtest import pool, run
from include.backtest.history import History
from include.backtest.lab import Lab
from include.backtest.store import code_digest
from include.errors import ConfigurationError
from include.monitor_power import damages, equal, frozen, report, resampling, stretch
from include.monitor_power.equal import EqualMonths
from include.monitor_power.frozen import Frozen
from include.monitor_power.report import Found, Healthy, MonitorReport
from include.monitor_power.resampling import Draw, Month
from include.monitor_power.stretch import Stretch
from include.monitoring import staleness
from include.partitions import earlier, keys_between, partition
from include.progress import Progress
from include.settings import Settings
from include.sources import from_environment
from include.spec import Model
from include.training.candidates import Fitted

STRETCH = 180
BLOCKS = (1, 3)
FEWEST_MONTHS = 4


def measure(name: str, first: str | None, last: str | None, months: int, workers: int | None, home: Path | None) -> int:
    """Collect, simulate, draw and report; ``home`` is that of the back-test, and days that are there are used again.

    Parameters
    ----------
    first : the as-of of the champion that is frozen; None: none is frozen, and only days are drawn.
    last : the last day; None: the newest whose labels are final.
    months : of drawn days for each way to draw them; of each damage a twentieth.

    Raises
    ------
    ConfigurationError : an unknown model, an impossible span, or too few months.
    DataError : too little history; the first champion is not promoted.
    """
    model = on_demand(catalog.load(name))
    connections = from_environment(model.data.connections)
    root = home or Settings.from_environment().home / "backtest" / name
    lab, progress = Lab(model, root), Progress()
    until = partition(last or lab.newest(), model.timezone).key
    if until > lab.newest():
        raise ConfigurationError(f"the labels of {until} are not final yet: LAST can be at most {lab.newest()}.")
    if months < FEWEST_MONTHS or (workers is not None and workers < 1):
        raise ConfigurationError(
            f"months is {months} and workers {workers}: at least {FEWEST_MONTHS} and 1 are needed."
        )
    begin = _begin(model, first, until)
    count = workers or run.processors()
    run.collect(lab, begin, until, connections, count, progress)
    history = History.freeze(lab.lake, begin, until)
    simulated, pairs = _frozen(lab, history, first, until, progress) if first else (None, ())
    twin = lab.night(until).twin
    drawn = stretch.take(model, history, twin, until, STRETCH)
    # one pool for all draws: each of its workers takes the days once
    with pool.calling(draw, model, history, count) as call:
        healthy = tuple(_healthy(call, drawn, twin, months, progress))
        damaged = tuple(_damaged(call, drawn, twin, max(months // 20, FEWEST_MONTHS), progress))
    found = MonitorReport(
        model=name,
        frozen=simulated,
        equal=pairs,
        first=drawn.keys[0],
        last=drawn.keys[-1],
        days=len(drawn.keys),
        healthy=healthy,
        found=damaged,
        snapshot=history.digest,
        code=code_digest(model),
    )
    text = report.markdown(found)
    files.write(root / "monitor_power.json", (json.dumps(found.as_dict(), indent=1) + "\n").encode())
    files.write(root / "monitor_power.md", text.encode())
    progress.say()
    progress.say(text)
    progress.say(f"{root / 'monitor_power.json'}  monitor_power.md")
    return 0


def on_demand(model: Model) -> Model:
    """The model as its monitor alone would retrain it."""
    training = model.training.model_copy(update={"schedule": None})
    monitoring = model.monitoring.model_copy(update={"retrain": True})
    return model.model_copy(update={"training": training, "monitoring": monitoring})


def _begin(model: Model, first: str | None, last: str) -> str:
    """The first day that is collected.

    Raises
    ------
    ConfigurationError : ``first`` is after ``last``.
    """
    needed = model.training.days_needed
    begin = earlier(last, STRETCH + needed - 1)
    if first:
        about = partition(first, model.timezone).key
        if about >= last:
            raise ConfigurationError(f"FIRST ({about}) is not before LAST ({last}).")
        begin = min(begin, earlier(about, needed - 1))
    return max(begin, model.start.isoformat())


def _frozen(
    lab: Lab, history: History, first: str, last: str, progress: Progress
) -> tuple[Frozen, tuple[EqualMonths, ...]]:
    model = lab.model
    with progress.bar(f"{model.name}: watch", len(keys_between(first, last)) - 1) as advance:
        found, truth, weekly = frozen.simulate(lab, history, first, last, advance)
    days = [day for day in keys_between(earlier(first, -1), last) if day in truth.places]
    noise = equal.differences(model, truth, weekly, days)
    margin = staleness.margin(model)
    alphas = (staleness.RETRAIN_ALPHA, staleness.PAGE_ALPHA)
    return found, tuple(equal.months(model, noise, margin, alpha, block) for alpha in alphas for block in BLOCKS)


@dataclass(frozen=True)
class Task:
    """What a worker draws: the days are taken by each worker once."""

    twin: Fitted
    last: str
    draw: Draw


_TAKEN: dict[str, Stretch] = {}


def draw(model: Model, history: History, task: Task) -> list[Month]:
    """Draw months, in a worker."""
    if task.last not in _TAKEN:
        _TAKEN[task.last] = stretch.take(model, history, task.twin, task.last, STRETCH)
    return resampling.months(_TAKEN[task.last], task.draw)


Call = Callable[[Iterable[Task]], Iterator[list[Month]]]


def _drawn(call: Call, tasks: Sequence[Task], progress: Progress, what: str) -> Iterator[Month]:
    with progress.bar(what, len(tasks)) as advance:
        for found in call(tasks):
            advance("")
            yield from found


def _tasks(twin: Fitted, last: str, months: int, like: Draw) -> list[Task]:
    """As many draws like this one as give so many months, each with a seed of its own."""
    references = -(-months // like.months)
    return [Task(twin, last, replace(like, seed=seed)) for seed in range(references)]


def _healthy(call: Call, drawn: Stretch, twin: Fitted, months: int, progress: Progress) -> Iterator[Healthy]:
    for block in BLOCKS:
        tasks = _tasks(twin, drawn.keys[-1], months, Draw(block=block))
        found = list(_drawn(call, tasks, progress, f"months of {block} at a time"))
        yield Healthy(
            block=block,
            months=len(found),
            paged=sum(one.pages for one in found),
            told=sum(bool(one.opened) for one in found),
            retrained=sum(one.retrained for one in found),
        )


def _damaged(call: Call, drawn: Stretch, twin: Fitted, months: int, progress: Progress) -> Iterator[Found]:
    for damage in damages.DAMAGES:
        name = damages.of(drawn, damage)
        if name is None:
            continue
        spread = damages.spread(drawn, name)
        for strength in damage.strengths:
            like = Draw(damage=damage, feature=name, strength=strength, spread=spread)
            tasks = _tasks(twin, drawn.keys[-1], months, like)
            found = list(_drawn(call, tasks, progress, f"{damage.name} {strength:g}"))
            kinds = Counter(kind for one in found for kind in {opened.kind for opened in one.opened})
            first = [min(opened.after for opened in one.opened) for one in found if one.opened]
            yield Found(
                damage=damage.name,
                feature=name,
                strength=strength,
                unit=damage.unit,
                months=len(found),
                paged=sum(one.pages for one in found),
                told=len(first),
                retrained=sum(one.retrained for one in found),
                kinds=dict(kinds),
                after=float(median(first)) if first else None,
            )
