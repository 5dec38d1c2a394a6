"""Command line: ``python -m include.backtest try|run``: one night of a model, or its history night by night."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from include import command_line
from include.errors import PerennialError

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: tasks use one thread, and threads change bytes

TARGETS = {"try": "try-model", "run": "backtest"}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status: 0 for any decision, 1 if there is none."""
    parser = argparse.ArgumentParser(prog="python -m include.backtest", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    trial = commands.add_parser("try", help="one night of a model on the newest days, without a stack")
    trial.add_argument("--model", help="may be omitted if there is only one model")
    trial.add_argument("--as-of", help="the day it is about, YYYY-MM-DD; default: the newest whose labels are final")
    trial.add_argument(
        "--days", type=int, help="days of data to collect; with fewer than a night needs, the window is shortened"
    )
    trial.add_argument("--max-rows", type=int, help="fit on a sample of this many rows")
    trial.add_argument("--root", type=Path, help="folder to work in, which is kept; default: a temporary one")
    trial.add_argument("--summary", type=Path, help="file to which the report is appended, as Markdown")
    replay = commands.add_parser("run", help="replay history night by night; if killed, it continues where it stopped")
    replay.add_argument("--model", help="may be omitted if there is only one model")
    replay.add_argument("--first", help="the day that the first night is about; default: the first possible, a year")
    replay.add_argument("--last", help="the last day that is judged; default: the newest whose labels are final")
    replay.add_argument("--every", type=int, default=1, help="days from one night to the next")
    replay.add_argument("--workers", type=int, help="processes that fit; default: one for each processor")
    replay.add_argument("--broken", type=float, default=0.0, help="share of the nights to break on purpose, e.g. 0.15")
    replay.add_argument("--draws", type=int, default=1, help="how many histories are drawn; default: %(default)s")
    replay.add_argument("--everywhere", action="store_true", help="break the holdout of a broken night, too")
    replay.add_argument("--home", type=Path, help="folder for all files; default: PERENNIAL_HOME/backtest/<model>")
    asked = parser.parse_args(arguments)
    handler = logging.StreamHandler(sys.stderr)
    # A handler's level binds every logger, also one that sets its own; hundreds of days and fits would fill the log.
    handler.setLevel(logging.WARNING if asked.command == "try" else logging.ERROR)
    logging.basicConfig(format="%(levelname)s: %(message)s", handlers=[handler])
    try:
        from include import catalog

        name = catalog.chosen(asked.model, TARGETS[asked.command]).name
        if asked.command == "run":
            from include.backtest import run

            span = (asked.first, asked.last, asked.every)
            return run.run(name, *span, asked.workers, asked.home, asked.broken, asked.draws, asked.everywhere)
        from include.backtest import trying

        return trying.run(name, asked.as_of, asked.days, asked.max_rows, asked.root, asked.summary)
    except PerennialError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    command_line.run(main)
