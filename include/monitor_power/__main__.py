"""Command line: ``python -m include.monitor_power``: what the monitoring of a model finds, on its own history."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from include import command_line
from include.errors import PerennialError

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: one thread gives the bytes of a task


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print where the report is; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.monitor_power", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="may be omitted if there is only one model")
    parser.add_argument("--first", help="the as-of of a champion that is frozen and watched; default: none is")
    parser.add_argument("--last", help="the last day; default: the newest whose labels are final")
    parser.add_argument("--months", type=int, default=1000, help="months of drawn days; default: %(default)s")
    parser.add_argument("--workers", type=int, help="processes that draw; default: one for each processor")
    parser.add_argument("--home", type=Path, help="folder for all files; default: PERENNIAL_HOME/backtest/<model>")
    asked = parser.parse_args(arguments)
    handler = logging.StreamHandler(sys.stderr)
    # A handler's level binds every logger, also one that sets its own; hundreds of days and fits would fill the log.
    handler.setLevel(logging.ERROR)
    logging.basicConfig(format="%(levelname)s: %(message)s", handlers=[handler])
    try:
        from include import catalog

        name = catalog.chosen(asked.model, "monitor-power").name
        from include.monitor_power import measuring  # takes seconds; a misspelt name is reported before

        return measuring.measure(name, asked.first, asked.last, asked.months, asked.workers, asked.home)
    except PerennialError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    command_line.run(main)
