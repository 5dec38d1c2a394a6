"""Writes requirements.txt from pyproject.toml: one file for Python 3.11-3.13, with the reason of each choice.

The file names no index and no local path, so it is the same wherever it is written.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from include.errors import ConfigurationError
from include.stack.bootstrap import uv_environment

HEADER = """\
# Every package of Perennial, pinned, for Python 3.11, 3.12 and 3.13. Made by `make lock`: edit pyproject.toml.
# A direct dependency has its reason next to it; any other names what needs it.
"""
ENTRY = re.compile(r'^\s*"(?P<name>[A-Za-z0-9._-]+)(?P<rest>[^"]*)",\s*(?:#\s*(?P<why>.+))?$')


def normalized(name: str) -> str:
    """The package name as requirements.txt spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def reasons(pyproject: str) -> dict[str, str]:
    """The reason for each direct dependency, read from the comment on its line.

    Raises
    ------
    ConfigurationError : a dependency has no reason.
    """
    project = tomllib.loads(pyproject)["project"]
    declared = list(project["dependencies"])
    for extra in project.get("optional-dependencies", {}).values():
        declared += extra
    found: dict[str, str] = {}
    for line in pyproject.splitlines():
        match = ENTRY.match(line)
        if match and match["name"] + match["rest"] in declared and match["why"]:
            found[normalized(match["name"])] = match["why"].strip()
    for requirement in declared:
        name = normalized(re.split(r"[^A-Za-z0-9._-]", requirement)[0])
        if name not in found:
            raise ConfigurationError(
                f"pyproject.toml: dependency {requirement!r} has no reason: add `# why` to its line"
            )
    return found


def annotate(compiled: str, why: dict[str, str]) -> str:
    """Put the reasons into uv's output; drop everything that is specific to this machine."""
    lines: list[str] = []
    for line in compiled.splitlines():
        name = normalized(re.split(r"[^A-Za-z0-9._-]", line)[0]) if line and not line[0].isspace() else ""
        lines.append(f"{line}  # {why[name]}" if name in why else line)
    return HEADER + "\n".join(lines) + "\n"


def write(root: Path, upgrade: bool) -> None:
    """Resolve pyproject.toml and replace requirements.txt."""
    target = root / "requirements.txt"
    pyproject = (root / "pyproject.toml").read_text()
    why = reasons(pyproject)
    pip = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--extra", "dev"]
    command += ["--no-header", "--no-emit-index-url", "--no-emit-find-links", "--output-file", str(target)]
    command += ["--upgrade"] if upgrade else []  # otherwise uv keeps the pins of the current file that still fit
    command.append("pyproject.toml")
    environment = uv_environment(pip.stdout, dict(os.environ))
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment.get('PATH', '')}"
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigurationError(f"`{' '.join(command)}` failed:\n{done.stderr}")
    partial = target.with_suffix(".partial")
    partial.write_text(annotate(target.read_text(), why))
    os.replace(partial, target)
    print(f"wrote {target}")
