"""The model folder of a tour: where the processes of a stack find it, its name, and what is odd about its days."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime
from pathlib import Path

import include.models
from include import files
from include.stack.layout import Stack

TEMPLATE = Path(__file__).with_name("folder")
NAME = re.compile(r"tour_\d{8}_\d{6}")


def new_name(now: datetime) -> str:
    """A name that no model of a user has. Each tour has its own, because the ledger keeps what happened to a model."""
    return f"tour_{now:%Y%m%d_%H%M%S}"


def is_tour(name: str) -> bool:
    """Whether a model belongs to a tour."""
    return NAME.fullmatch(name) is not None


def write(stack: Stack, name: str) -> Path:
    """Write the folder, which appears as a whole, and let this process find it, too."""
    folder = stack.tours / name
    unfinished = stack.tours / f".{name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for path in TEMPLATE.glob("*.py"):
        (unfinished / path.name).write_text(path.read_text().replace('name="tour"', f'name="{name}"'))
    unfinished.rename(folder)
    if str(stack.tours) not in include.models.__path__:
        include.models.__path__ = [*include.models.__path__, str(stack.tours)]
    return folder


def change(folder: Path, first: str) -> None:
    """From this day on, the source delivers parcels of another world."""
    files.write(folder / "change.json", json.dumps(first).encode())


def break_day(folder: Path, day: str) -> None:
    """From now on, the source delivers a part of this day with weights in grams."""
    files.write(folder / "faults.json", json.dumps([day]).encode())


def repair(folder: Path) -> None:
    """From now on, the source delivers every day as it is."""
    (folder / "faults.json").unlink(missing_ok=True)
