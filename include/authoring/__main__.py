"""`python -m include.authoring new`: what `make new-model` calls."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from include.errors import PerennialError
from include.spec import Task

DELAY = re.compile(r"^(\d+)\s*(m|min|h|d)$")
UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: written; 1: refused, with one sentence about the reason; 2: wrong usage."""
    asked = _parser().parse_args(arguments)
    from include.authoring.findings import Request
    from include.authoring.new import new_model

    request = Request(
        name=asked.name,
        source=asked.source,
        target=asked.target,
        time=asked.time,
        timezone=asked.timezone or "UTC",
        delay=asked.delay or timedelta(0),
        task=Task(asked.task) if asked.task else None,
        positive=asked.positive or None,
        key=tuple(part.strip() for part in asked.key.split(",") if part.strip()),
        time_format=asked.time_format or None,
        encoding=asked.encoding,
        decimal=asked.decimal,
        nulls=asked.nulls,
        merge_labels=asked.merge_labels,
        owner=asked.owner or "nobody",
        into=Path(asked.into) if asked.into else None,
    )
    try:
        print(new_model(request))
    except PerennialError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m include.authoring", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="write a model's folder from a CSV or Parquet file or an SQL table")
    new.add_argument("--name", required=True, help="of the model: lower-case letters, digits and _")
    new.add_argument("--source", required=True, help="a file, a folder of Parquet files, or sql:<connection>/<table>")
    new.add_argument("--target", required=True, help="the column to predict, as the source names it")
    new.add_argument("--time", required=True, help="the column with the time of each row")
    new.add_argument("--timezone", default="", help="IANA name; where a day begins (default: UTC)")
    new.add_argument("--delay", type=_delay, default=None, help="until a day's last label is final, e.g. 6h or 2d")
    new.add_argument("--task", choices=["", *(task.value for task in Task)], default="", help="default: inferred")
    new.add_argument("--positive", default="", help="the class whose probability is the score (default: inferred)")
    new.add_argument("--key", default="", help="columns that identify a row, a,b (default: inferred)")
    new.add_argument("--time-format", default="", help="how TIME is written, if it cannot be inferred")
    new.add_argument("--encoding", default="", help="of a CSV file, e.g. cp932 (default: inferred)")
    new.add_argument("--decimal", default="", help="the decimal sign, or price:,;weight:. (default: inferred)")
    new.add_argument("--nulls", help="words that mean missing in texts, NA,?,country:n.a. (empty: only empty cells)")
    new.add_argument(
        "--merge-labels", type=_yes, default=False, help="yes: labels that differ in spelling are one class"
    )
    new.add_argument("--owner", default="", help="who is asked when it fails")
    new.add_argument("--into", default="", help="a folder of models (PERENNIAL_MODELS) instead of include/models")
    return parser


def _yes(text: str) -> bool:
    answers = {"": False, "no": False, "0": False, "false": False, "yes": True, "1": True, "true": True}
    if text.strip().lower() not in answers:
        raise argparse.ArgumentTypeError(f"{text!r}: yes or no")
    return answers[text.strip().lower()]


def _delay(text: str) -> timedelta | None:
    if not text:
        return None
    found = DELAY.match(text.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r}: a number with m, h or d, e.g. 6h or 2d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


if __name__ == "__main__":
    sys.exit(main())
