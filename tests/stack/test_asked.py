"""The arguments of `make night`, `rollback` and `unfreeze`: how they arrive, and the errors of wrong values."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import include.models
from include.stack.__main__ import main

ROOT = Path(__file__).parent.parent.parent
ECHO = """#!/bin/sh
exec python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@"
"""


@pytest.mark.parametrize(
    ("target", "given", "arrives"),
    [
        ("rollback", {"MODEL": "toy", "REASON": 'it\'s "late" & wrong; 5 %'}, ["--model", "toy", "--version", ""]),
        ("rollback", {"MODEL": "a b", "VERSION": "3", "REASON": "x y"}, ["--model", "a b", "--version", "3"]),
        ("unfreeze", {"MODEL": "toy", "REASON": "it's fixed"}, ["--model", "toy"]),
        ("night", {"MODEL": "toy", "SEED": "7", "FORCE": "1"}, ["--model", "toy", "--seed", "7", "--force", "1"]),
        ("night", {}, ["--model", "", "--seed", "", "--force", ""]),
    ],
)
def test_values_survive_make_and_the_shell(
    target: str, given: dict[str, str], arrives: list[str], tmp_path: Path
) -> None:
    (tmp_path / "python").write_text(ECHO)
    (tmp_path / "python").chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    values = [f"{name}={value}" for name, value in given.items()]
    command = ["make", "--silent", "--old-file=venv", f"VENV={tmp_path}", target, *values]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reason = ["--reason", given["REASON"]] if "REASON" in given else []
    assert json.loads(done.stdout) == ["-m", "include.stack", target, *arrives, *reason]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rollback", "--model", "toy", "--reason", ""], 'REASON is missing: .* Type make rollback MODEL=toy REASON="'),
        (["unfreeze", "--model", "toy", "--reason", " \n"], "REASON is missing: .* make unfreeze MODEL=toy"),
        (["unfreeze", "--model", "toy", "--reason", "x"], "REASON has 1 characters: give 3 to 1000"),
        (["rollback", "--model", "toi", "--reason", "bad"], "did you mean 'toy'"),
        (["rollback", "--model", "", "--reason", "bad"], "which model.*make rollback MODEL="),
        (
            ["rollback", "--model", "toy", "--reason", "bad", "--version", "1e30"],
            "VERSION is '1e30': give a whole number",
        ),
        (["rollback", "--model", "toy", "--reason", "bad", "--version", "-1"], "VERSION is '-1'"),
        (["rollback", "--model", "toy", "--reason", "bad", "--version", "²"], "VERSION is '²'"),
        (["rollback", "--model", "toy", "--reason", "bad"], "no stack runs on .* `make run`"),
        (["night", "--model", "toy", "--seed", "x"], "SEED is 'x': give a whole number from 0 to 4294967295"),
        (["night", "--model", "toy", "--seed", "4294967296"], "SEED is '4294967296'"),
        (["night", "--model", "toy", "--seed", "9" * 5000], "SEED is"),
        (["night", "--model", "toy", "--force", "yes"], "FORCE is 'yes': give FORCE=1"),
        (["night", "--model", "toy", "--seed", "0", "--force", "1"], "no stack runs on"),
    ],
)
def test_a_wrong_value_is_one_clear_error(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))
    assert main(arguments) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ") and re.search(says, message), message


@pytest.mark.parametrize("command", ["rollback", "unfreeze"])
def test_a_broken_folder_does_not_prevent_a_rollback(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "halfway").mkdir()
    (tmp_path / "halfway" / "model.py").write_text("MODEL = 1\n")
    monkeypatch.setattr(include.models, "__path__", [*include.models.__path__, str(tmp_path)])
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))
    assert main([command, "--model", "halfway", "--reason", "it predicts nonsense"]) == 1
    assert "no stack runs on" in capsys.readouterr().err
