"""The files of the spool's segments: their numbers, their final names, and what a killed process left at their end."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from include import files
from include.scoring.record import CLOSED, OPEN


def next_number(folder: Path) -> int:
    """A number larger than any before in this folder; noted on disk before it is used, as segments are deleted."""
    note = folder / "last_number"
    noted = int(note.read_text() or 0) if note.exists() else 0
    seen = (int(p.name.split(".")[0]) for p in folder.glob("*.jsonl*") if p.name.split(".")[0].isdigit())
    number = max(noted, *seen, 0) + 1
    files.write(note, str(number).encode())
    return number


def publish(open_path: Path) -> None:
    """Give an open segment its final name, or remove it if it is empty."""
    if open_path.stat().st_size == 0:
        open_path.unlink()
    else:
        os.rename(open_path, open_path.with_name(open_path.name[: -len(OPEN)] + CLOSED))
    files.sync(open_path.parent)


def whole(data: bytes) -> tuple[int, int]:
    """Length in bytes, and number, of the whole lines before the first torn one."""
    good = lines = 0
    while (end := data.find(b"\n", good)) >= 0:
        try:
            msgspec.json.decode(data[good:end])
        except (msgspec.DecodeError, UnicodeDecodeError):
            break
        good, lines = end + 1, lines + 1
    return good, lines


def cut_torn_end(path: Path) -> int:
    """Cut everything after the last whole line before the first torn one; the number of lines cut."""
    data = path.read_bytes()
    good, _ = whole(data)
    if good == len(data):
        return 0
    with open(path, "r+b") as file:
        file.truncate(good)
        os.fsync(file.fileno())
    return len(data[good:].rstrip(b"\n").split(b"\n"))
