"""Command line: ``python -m include.monitoring [--model X] [--first D] [--last D]`` monitors days without Airflow."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from include import command_line
from include.errors import NotReady, PerennialError

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
        return _monitor(asked.model, asked.first, asked.last)
    except PerennialError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _monitor(name: str | None, first: str | None, last: str | None) -> int:
    from include import catalog
    from include.data.lake import Lake
    from include.monitoring import run
    from include.partitions import keys_between, partition, utc_now

    model = catalog.chosen(name, "monitor")
    newest = max(Lake.of(model).published(), default=None)
    if newest is None:
        raise NotReady(f"no day of {model.name} is published yet: run {model.name}_load first.")
    end = partition(last or newest, model.timezone).key
    begin = partition(first or end, model.timezone).key
    if begin > end:
        raise NotReady(f"the first day {begin} is after the last day {end}: there is nothing to monitor.")
    missing = 0
    for key in keys_between(begin, end):
        try:
            found = run.monitor(model, key, None, utc_now())
        except NotReady as reason:
            missing += 1
            print(f"SKIPPED {key}: {reason}", flush=True)
            continue
        print(found.note, flush=True)
        if key == end:
            print("\n".join(f"  {line}" for line in found.lines))
    return 1 if missing else 0


if __name__ == "__main__":
    command_line.run(main)
