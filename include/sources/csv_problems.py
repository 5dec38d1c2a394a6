"""Bytes of a CSV file that do not follow its encoding: how many lines have some, and where."""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass
from pathlib import Path

from include.sources.csv_text import codec_of, open_input

SHOWN = 3
AROUND = 16  # characters on both sides of a byte


@dataclass(frozen=True)
class Undecodable:
    """``lines`` have bytes that cannot be decoded; ``valid`` lines have signs outside of ASCII that can be.

    Attributes
    ----------
    examples : number of the line in the file (the header is in line 1) and the text around the byte, which is shown as
        ``\\xef``.
    """

    lines: int
    valid: int
    examples: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        # `_around` has escaped the byte already
        texts = [(number, repr(text).replace("\\\\", "\\")) for number, text in self.examples]
        shown = ", ".join(f"line {number}: {text}" for number, text in texts)
        return shown + (", ..." if self.lines > len(self.examples) else "")


def undecodable(path: Path, encoding: str) -> Undecodable:
    """Every line that cannot be decoded. (Of UTF-16 and UTF-32 only the first place: their lines are no bytes.)"""
    codec = codec_of(encoding)[0]
    with open_input(path) as file:
        if codecs.lookup(codec).name.startswith(("utf-16", "utf-32", "iso2022", "hz", "utf-7")):
            return _first(io.BufferedReader(file), codec)
        lines = valid = 0
        examples: list[tuple[int, str]] = []
        for number, line in enumerate(io.BufferedReader(file), start=1):
            if line.isascii():
                continue
            try:
                line.decode(codec)
                valid += 1
            except UnicodeDecodeError as problem:
                lines += 1
                if len(examples) < SHOWN:
                    examples.append((number, _around(line, problem, codec)))
    return Undecodable(lines, valid, tuple(examples))


def _first(file: io.BufferedReader, codec: str) -> Undecodable:
    decoder = codecs.getincrementaldecoder(codec)()
    line = 1
    while True:
        block = file.read(1 << 20)
        try:
            line += decoder.decode(block, final=not block).count("\n")
        except UnicodeError as problem:
            if not isinstance(problem, UnicodeDecodeError):  # UTF-16 without a mark
                return Undecodable(1, 0, ((line, str(problem)),))
            before = problem.object[: problem.start].decode(codec, "ignore")
            return Undecodable(1, 0, ((line + before.count("\n"), before[-AROUND:]),))
        if not block:
            return Undecodable(0, 1, ())


def _around(line: bytes, problem: UnicodeDecodeError, codec: str) -> str:
    before, after = line[: problem.start], line[problem.end :]
    bad = "".join(f"\\x{byte:02x}" for byte in line[problem.start : problem.end])
    text = after.decode(codec, "replace").rstrip("\r\n")
    return before.decode(codec, "replace")[-AROUND:] + bad + text[:AROUND]
