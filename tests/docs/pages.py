"""Reads the Markdown pages of the project: links, commands, paths and plain text."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from include.authoring import reference
from tests.docs.readme import ROOT, blocks

GENERATED = re.compile(f"{re.escape(reference.BEGIN)}.*?{re.escape(reference.END)}", re.DOTALL)
FENCES = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")


def pages() -> list[Path]:
    """Return every Markdown file that is in git or not ignored by it."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.md"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in sorted(set(filter(None, names))) if (ROOT / name).is_file()]


def prose(page: Path) -> str:
    """Return the text without fenced blocks."""
    return FENCES.sub("", page.read_text())


def plain(page: Path) -> str:
    """Return the sentences that a person has written: no fenced block, no inline code, no generated reference."""
    return CODE.sub("", GENERATED.sub("", prose(page)))


def anchors(page: Path) -> list[str]:
    """Return the anchors that GitHub gives to the headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def links(page: Path) -> list[str]:
    """Return the targets of links and pictures, as they are written."""
    return re.findall(r"\]\(([^)]+)\)", prose(page))


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command, from shell blocks and from inline code that begins like a command."""
    lines = [line for block in blocks(page.read_text()) if block.kind == "sh" for line in _joined(block.text)]
    lines += [code for code in CODE.findall(prose(page)) if re.match(r"make [a-z]|\.venv/", code)]
    for line in lines:
        words = shlex.split(line, comments=True)
        if words:
            yield words


def _joined(text: str) -> Iterator[str]:
    """Yield the commands of a shell block. A backslash or an open quote continues a command on the next line."""
    begun = ""
    for line in text.replace("\\\n", " ").splitlines():
        begun += f"{line}\n"
        try:
            shlex.split(begun, comments=True)
        except ValueError:
            continue
        yield begun
        begun = ""
    assert not begun, f"a quote that is not closed: {begun}"
