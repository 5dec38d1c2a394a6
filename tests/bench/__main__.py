"""`make bench`: every figure of the project, next to its peer in the same run, as one table.

Each part measures one thing. The parts that need a stack share one, in its own home and on free ports. A part that
fails is reported in the table, and the others still run. Times depend on the machine, so ratios are what to compare;
the bars hold for two quiet cores with all packages cached.

Usage: ``python -m tests.bench [--only start,idle] [--rounds 1]``, or ``make bench ONLY=start,idle ROUNDS=1``.
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence

from include.errors import ConfigurationError
from include.spelling import did_you_mean
from tests.bench import (
    history,
    idle,
    load_days,
    memory,
    models_page,
    monitor,
    overview,
    retraining,
    server,
    start,
    watchdog,
)
from tests.bench.figures import Failure, Row, machine, table
from tests.bench.shared import Bench

Part = Callable[[Bench], Iterable[Row]]

PARTS: Mapping[str, Part] = {
    "start": start.measure,
    "server": server.measure,
    "idle": idle.measure,
    "retrain": retraining.measure,
    "load": load_days.measure,
    "daily": history.small,
    "history": history.large,
    "memory": memory.measure,
    "overview": overview.measure,
    "models": models_page.measure,
    "watchdog": watchdog.measure,
    "monitor": monitor.measure,
}
"""In this order. The stack of its own is idle before the others use it."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help=f"some of {', '.join(PARTS)}, separated by commas")
    parser.add_argument("--rounds", type=int, help="rounds of each part (default: 3 or 5; daily, history: 1)")
    options = parser.parse_args(arguments)
    try:
        parts = chosen(options.only, PARTS)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for ending in (signal.SIGINT, signal.SIGTERM):  # also in the background of a script, where SIGINT is ignored
        signal.signal(ending, signal.default_int_handler)
    about = machine()  # before the measurements, because of the load
    print(f"{about}\n", flush=True)
    rows: list[Row | Failure] = []
    try:
        with Bench(options.rounds) as bench:
            measured(parts, bench, rows)
    finally:  # what was measured before an interrupt is shown, too
        print(f"\n{about}\n\n{table(rows)}")
    return 1 if any(isinstance(row, Failure) for row in rows) else 0


def chosen(only: str, parts: Mapping[str, Part]) -> dict[str, Part]:
    """The parts that were asked for, in their order; all without a name.

    Raises
    ------
    ConfigurationError : an unknown name, with the nearest known one.
    """
    names = [name for name in only.replace(",", " ").split() if name]
    for name in names:
        if name not in parts:
            raise ConfigurationError(f"ONLY={name} is not a part{did_you_mean(name, parts)}")
    return {name: part for name, part in parts.items() if not names or name in names}


def measured(parts: Mapping[str, Part], bench: Bench, rows: list[Row | Failure]) -> None:
    """Append the rows of each part; of one that fails, those that it has measured until then, and the reason."""
    for name, part in parts.items():
        try:
            for row in part(bench):
                rows.append(row)
        except Exception as error:
            bench.say(traceback.format_exc())
            rows.append(Failure(name, f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    sys.exit(main())
