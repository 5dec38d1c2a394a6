"""Makes `.venv` from requirements.txt: run by path with any Python 3, before anything is installed.

    python3 include/stack/bootstrap.py [--root FOLDER]

Uses only the standard library. Does nothing if `.venv` already has exactly the packages of requirements.txt (a stamp
file with its hash shows this). The stamp is written last, so an interrupted installation is repeated.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

SUPPORTED = ((3, 11), (3, 12), (3, 13))
UV = "uv==0.13.9"


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


def install(root: Path, requirements: Path) -> None:
    """Make `.venv` under `root` and install the pinned packages into it."""
    folder = root / ".venv"
    python = folder / "bin" / "python"
    stamp = folder / ".perennial-stamp"
    wanted = fingerprint(requirements)
    if stamp.is_file() and stamp.read_text() == wanted and python.exists():
        return
    if stamp.exists():
        stamp.unlink()
    started = time.monotonic()
    _make_venv(folder, python)
    _say(f"installing the {_count(requirements)} pinned packages of requirements.txt ...")
    _run([str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", UV])
    pip_config = subprocess.run(
        [str(python), "-m", "pip", "config", "list"], stdout=subprocess.PIPE, text=True, check=False
    ).stdout
    environment = uv_environment(pip_config, dict(os.environ))
    environment["VIRTUAL_ENV"] = str(folder)
    command = [str(folder / "bin" / "uv"), "pip", "install", "--quiet", "--requirement", str(requirements)]
    _run(command, environment)
    partial = stamp.with_suffix(".partial")
    partial.write_text(wanted)
    os.replace(partial, stamp)
    _say(f"environment ready in {time.monotonic() - started:.0f} s: {folder}")


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
    root = parser.parse_args().root
    # sent when a terminal closes: programs that we started must end with us
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, signal.default_int_handler)
    try:
        check_python(sys.version_info[:2], sys.executable)
        install(root, root / "requirements.txt")
    except CannotInstall as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run make again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
