"""Makes `.venv` from requirements.txt: run by path with any Python 3, before anything is installed.

    python3 include/stack/bootstrap.py [--root FOLDER] [--extras "NAME NAME"]

Uses only the standard library. Does nothing if `.venv` already has exactly the packages of requirements.txt (a stamp
file with its hash shows this). The stamp is written last, so an interrupted installation is repeated.

An extra is an optional group of packages in pyproject.toml. `.venv` remembers which it has: a later call without
``--extras`` keeps them, and installs them again if requirements.txt or their pins change.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SUPPORTED = ((3, 11), (3, 12), (3, 13))
UV = "uv==0.13.9"
IN_REQUIREMENTS = ("dev",)  # extras whose packages are in requirements.txt already


class CannotInstall(Exception):
    """The environment cannot be created; the message says what to do."""


def dotted(version: tuple[int, int] = sys.version_info[:2]) -> str:
    """``3.12``."""
    return f"{version[0]}.{version[1]}"


def check_python(version: tuple[int, int], name: str) -> None:
    """Refuse a Python that the pinned packages do not support, by name."""
    if version not in SUPPORTED:
        wanted = ", ".join(f"{major}.{minor}" for major, minor in SUPPORTED)
        raise CannotInstall(
            f"Perennial needs Python {wanted}; {name} is Python {dotted(version)}. "
            f"Install one of these, or name one: make run PYTHON=python3.12"
        )


def check_venv_module() -> None:
    """Debian ships python3 without ensurepip, so name the package that provides it."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        raise CannotInstall(
            f"{sys.executable} cannot make virtual environments ({error}). "
            f"On Debian or Ubuntu: sudo apt-get install python{dotted()}-venv"
        ) from None


def fingerprint(requirements: Path) -> str:
    """The content of the stamp: requirements, Python version and the installer's own version."""
    content = requirements.read_bytes() + f"{dotted()} {UV}".encode()
    return hashlib.sha256(content).hexdigest()


def uv_environment(pip_config: str, environ: dict[str, str]) -> dict[str, str]:
    """Pass pip's settings (`pip config list`: files and environment) to uv, which reads only its own.

    Variables of uv that are already set win. The text has lines such as ``global.index-url='https://...'`` and
    ``:env:.find-links='/wheels'``; later lines do not override the environment's.
    """
    found: dict[str, str] = {}
    for line in pip_config.splitlines():
        name, separator, value = line.partition("=")
        scope, _, option = name.rpartition(".")
        if not separator or scope not in ("global", "install", ":env:"):
            continue
        if option in found and scope != ":env:":
            continue
        try:
            found[option] = str(ast.literal_eval(value.strip()))
        except (ValueError, SyntaxError):
            found[option] = value.strip()
    wanted = {
        "UV_DEFAULT_INDEX": found.get("index-url"),
        "UV_INDEX": found.get("extra-index-url"),
        "UV_FIND_LINKS": ",".join(found.get("find-links", "").split()) or None,
        "UV_INSECURE_HOST": found.get("trusted-host"),
        "SSL_CERT_FILE": found.get("cert"),
        "UV_HTTP_TIMEOUT": found.get("default-timeout") or found.get("timeout"),
        "UV_NO_INDEX": "1" if found.get("no-index", "").lower() in ("1", "true", "yes") else None,
        # pip uses the best version of all indexes; uv by default uses the first index that knows the name
        "UV_INDEX_STRATEGY": "unsafe-best-match" if found.get("extra-index-url") else None,
    }
    result = dict(environ)
    for name, setting in wanted.items():
        if setting and not environ.get(name):
            result[name] = setting
    return result


def install(root: Path, requirements: Path, asked: Sequence[str] = ()) -> None:
    """Make `.venv` under `root` and install the pinned packages into it, with the extras that it has or that are
    asked for."""
    folder = root / ".venv"
    python = folder / "bin" / "python"
    stamp = folder / ".perennial-stamp"
    wanted = fingerprint(requirements)
    remembered = Extras(root, folder)
    extras = remembered.wanted(asked, wanted)
    started = time.monotonic()
    if not (stamp.is_file() and stamp.read_text() == wanted and python.exists()):
        if stamp.exists():
            stamp.unlink()
        _make_venv(folder, python)
        remembered.write(extras)  # the folder may be a new one
        _say(f"installing the {_count(requirements)} pinned packages of requirements.txt ...")
        _run([str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", UV])
        _uv(folder, ["--requirement", str(requirements)])
        _write(stamp, wanted)
        _say(f"environment ready in {time.monotonic() - started:.0f} s: {folder}")
    missing = [extra for extra in extras if not extra.installed]
    if missing:
        remembered.write(extras)
        names = " ".join(extra.name for extra in missing)
        _say(f"installing the optional packages of {names} ...")
        pins = [pin for extra in missing for pin in extra.pins]
        try:
            _uv(folder, ["--constraint", str(requirements), *dict.fromkeys(pins)])
        except CannotInstall as error:
            raise CannotInstall(f"{error} To go on without {names}: delete {remembered.file}") from None
        remembered.write([extra._replace(installed=True) for extra in extras])


class Extra(NamedTuple):
    """An optional group of packages: what it pins, the hash of that, and whether `.venv` has exactly these."""

    name: str
    pins: tuple[str, ...]
    hash: str
    installed: bool


class Extras:
    """Which extras an environment has: one a line in a file in it, each with the hash of what was installed."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.file = folder / ".perennial-extras"
        self._pyproject = root / "pyproject.toml"

    def wanted(self, asked: Sequence[str], base: str) -> list[Extra]:
        """The extras that the environment has, and those that are asked for, in the order of their names.

        Parameters
        ----------
        base : the fingerprint of all that is not optional: with another one, extras are installed again.
        """
        lines = self.file.read_text().splitlines() if self.file.is_file() else []
        had = {name: content for name, _, content in (line.partition(" ") for line in lines)}
        if not had and not asked:
            return []
        offered = self.offered()
        for name in asked:
            if name not in offered:
                if name in IN_REQUIREMENTS:
                    raise CannotInstall(f"the packages of {name!r} are in requirements.txt: leave it out of EXTRAS")
                near = difflib.get_close_matches(name.lower(), offered, 1)
                meant = f"did you mean {near[0]!r}? " if near else ""
                raise CannotInstall(f"there is no extra {name!r}; {meant}EXTRAS can be: {' '.join(sorted(offered))}")
        found = []
        for name in sorted({*had, *asked} & set(offered)):
            pins = tuple(offered[name])
            content = hashlib.sha256("\n".join((base, *pins)).encode()).hexdigest()
            found.append(Extra(name, pins, content, had.get(name) == content))
        return found

    def write(self, extras: Sequence[Extra]) -> None:
        """Remember these: what is not installed yet has no hash, so that the next call installs it."""
        if extras or self.file.exists():
            _write(self.file, "".join(f"{extra.name} {extra.hash if extra.installed else '-'}\n" for extra in extras))

    def offered(self) -> dict[str, list[str]]:
        """What each extra of pyproject.toml pins that is not in requirements.txt."""
        import tomllib  # of Python 3.11, which `check_python` has seen by now

        project = tomllib.loads(self._pyproject.read_text())["project"]
        optional: dict[str, list[str]] = project.get("optional-dependencies", {})
        return {name: pins for name, pins in optional.items() if name not in IN_REQUIREMENTS}


def _uv(folder: Path, what: list[str]) -> None:
    """Install packages into the environment with uv, which gets pip's settings."""
    python = str(folder / "bin" / "python")
    pip_config = subprocess.run([python, "-m", "pip", "config", "list"], stdout=subprocess.PIPE, text=True, check=False)
    environment = uv_environment(pip_config.stdout, dict(os.environ))
    environment["VIRTUAL_ENV"] = str(folder)
    _run([str(folder / "bin" / "uv"), "pip", "install", "--quiet", *what], environment)


def _write(file: Path, text: str) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(text)
    os.replace(partial, file)


def _make_venv(folder: Path, python: Path) -> None:
    """Create a virtual environment of the running Python's version; replace an incomplete one or another version."""
    unfinished = folder / ".perennial-unfinished"  # pip can be importable but still incomplete
    probe = [str(python), "-c", "import pip, sys; print(sys.version_info[0], sys.version_info[1], sep='.')"]
    if python.exists() and not unfinished.exists():
        answer = subprocess.run(probe, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if answer.stdout.strip() == dotted():
            return
    check_venv_module()
    maker = _outside(folder)
    if folder.exists():
        shutil.rmtree(str(folder))
    _say(f"creating {folder} with Python {dotted()} ...")
    folder.mkdir()
    unfinished.touch()
    _run([maker, "-m", "venv", str(folder)])
    unfinished.unlink()


def _outside(folder: Path) -> str:
    """The running Python, or its base Python if it is in this folder, which will be deleted.

    The Makefile tries the Python of `.venv` first, and even an incomplete environment can have one that runs.
    """
    base = getattr(sys, "_base_executable", None) or sys.executable
    for python in (sys.executable, base, os.path.realpath(sys.executable)):
        if not python.startswith(f"{os.path.abspath(str(folder))}{os.sep}"):
            return python
    raise CannotInstall(f"{folder} holds the Python that must replace it: delete {folder} and run make again.")


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a program to its end. Ctrl-C does not reach it, so it prints no traceback; we end it instead."""
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        code = process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its children; its incomplete result is replaced later
        process.wait()
        raise
    if code:
        raise CannotInstall(
            f"`{' '.join(command)}` failed (exit {code}, see above). Run make again: a broken installation is repeated."
        )


def _count(requirements: Path) -> int:
    return sum(1 for line in requirements.read_text().splitlines() if line and line[0] not in "# ")


def _say(sentence: str) -> None:
    print(sentence, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent.parent)
    parser.add_argument("--extras", default="", help="names of optional groups of packages in pyproject.toml")
    asked = parser.parse_args()
    # sent when a terminal closes: programs that we started must end with us
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, signal.default_int_handler)
    try:
        check_python(sys.version_info[:2], sys.executable)
        install(asked.root, asked.root / "requirements.txt", asked.extras.replace(",", " ").split())
    except CannotInstall as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run make again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
