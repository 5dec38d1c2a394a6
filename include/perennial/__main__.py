"""Command line: ``python -m include.perennial quarantine|predictions``: the newest rows as a table."""

from __future__ import annotations

import argparse
import shutil
import sys

from include import command_line
from include.errors import PerennialError

MOST = 20
"""Rows that are shown."""


def main(arguments: list[str] | None = None) -> int:
    """Print a table; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.perennial", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    quarantine = commands.add_parser("quarantine", help="the newest rows in quarantine, and why they are there")
    quarantine.add_argument("--day", help="only this day; default: the newest days")
    predictions = commands.add_parser("predictions", help="the newest predictions of the model server")
    for command in (quarantine, predictions):
        command.add_argument("--model", help="optional if there is only one")
    asked = parser.parse_args(arguments)
    width = shutil.get_terminal_size((120, 24)).columns
    try:
        lines = (
            _quarantine(asked.model, asked.day, width)
            if asked.command == "quarantine"
            else _predictions(asked.model, width)
        )
    except PerennialError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


def _quarantine(name: str | None, day: str | None, width: int) -> list[str]:
    from include import catalog
    from include.data.lake import Lake
    from include.partitions import partition
    from include.perennial import printing, tables

    lake = Lake.of(catalog.chosen(name, "quarantine"))
    lake.table("quarantine")  # says so if there is none
    held = lake.quarantined("0001-01-01", "9999-12-31")
    if day:
        key = partition(day, lake.model.timezone).key
        if key not in held:
            return [f"No row of {key} is in quarantine. {_days_held(held)}"]
        held = {key: held[key]}
    if not held:
        return [f"No row of {lake.model.name} is in quarantine."]
    days: list[str] = []
    for key in sorted(held, reverse=True):
        if sum(held[one] for one in days) < MOST:
            days.append(key)
    shown = tables.bad_rows(lake, days).head(MOST)
    left = sum(held.values()) - len(shown)
    more = f"{left:,} more row{'s' * (left != 1)} in quarantine" if left else "These are all"
    where = "" if day or not left else f", of {len(held)} days (DAY= shows one)"
    return [
        *printing.table(shown.drop(columns="row"), width),
        "",
        f"{more}{where}. All of a row: {_call(lake.model.name, 'quarantine')}",
    ]


def _predictions(name: str | None, width: int) -> list[str]:
    from include import catalog
    from include.data.lake import Lake
    from include.perennial import printing, tables

    lake = Lake.of(catalog.chosen(name, "predictions"))
    shown, held = tables.newest_predictions(lake, MOST)
    later = "The server's predictions arrive in the lake within 15 minutes (perennial_predictions)."
    if not held:
        return [f"No prediction of {lake.model.name} is in the lake yet. {later}"]
    left = held - len(shown)
    more = f"{left:,} more prediction{'s' * (left != 1)} in the lake" if left else "These are all in the lake"
    short = shown.drop(columns=[name for name in ("partition", "request_id", "row") if name in shown])
    for column in ("event_time", "predicted_at"):
        short[column] = short[column].dt.strftime("%Y-%m-%d %H:%M:%SZ")
    return [*printing.table(short, width), "", f"{more}: {_call(lake.model.name, 'predictions')}", later]


def _days_held(held: dict[str, int]) -> str:
    if not held:
        return "No other day has any."
    newest = ", ".join(f"{key} ({held[key]})" for key in sorted(held, reverse=True)[:5])
    return f"Days that have some: {newest}{f' and {len(held) - 5} older' if len(held) > 5 else ''}."


def _call(model: str, function: str) -> str:
    return f"perennial.{function}({model!r}) in Python"


if __name__ == "__main__":
    command_line.run(main)
