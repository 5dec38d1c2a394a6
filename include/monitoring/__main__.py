"""Command line: ``python -m include.monitoring [--model X] [--first D] [--last D]`` monitors days without Airflow."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from include import command_line
from include.errors import PerennialError

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: as the tasks do


def main(arguments: list[str] | None = None) -> int:
    """Monitor the days, oldest first; the exit status: 0, or 1 if one of them cannot be monitored."""
    parser = argparse.ArgumentParser(prog="python -m include.monitoring", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="may be omitted if there is only one model")
    parser.add_argument("--first", help="the first day, YYYY-MM-DD; default: only the last one")
    parser.add_argument("--last", help="the last day; default: the newest one that is published")
    asked = parser.parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        from include.monitoring import command

        return command.monitor_days(asked.model, asked.first, asked.last)
    except PerennialError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    command_line.run(main)
