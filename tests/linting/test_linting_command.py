"""`python -m include.linting`: what it prints, its exit codes, and that no folder can hang or crash it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import include.models
from include.errors import ConfigurationError
from include.linting import run
from include.linting.__main__ import main
from include.linting.folder import lint
from include.mistakes.problem import Problem
from include.settings import PROJECT
from tests.linting.judge import copy

pytestmark = pytest.mark.slow

TOY = PROJECT / "tests" / "models_for_tests" / "toy"


def command(*arguments: str, models: Path | str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PERENNIAL_MODELS": str(models)}
    line = [sys.executable, "-m", "include.linting", *arguments]
    return subprocess.run(line, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300)


def broken(root: Path, name: str, file: str, old: str, new: str) -> Path:
    """Make a copy of the toy under another name, with ``old`` replaced by ``new``."""
    folder = copy(TOY, root / name)
    model = folder / "model.py"
    model.write_text(model.read_text().replace('name="toy"', f'name="{name}"'))
    path = folder / f"{file}.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return folder


def line_of(path: Path, text: str) -> int:
    return path.read_text()[: path.read_text().index(text)].count("\n") + 1


def test_folders_that_misbehave_are_reported_and_the_others_linted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hangs, one ends the process, one crashes it, one opens a connection, one is merely wrong, one is right."""
    head = "from __future__ import annotations\n"
    start = "    return [\n        gxe.ExpectTable"
    folders = {
        "a_hangs": broken(
            tmp_path, "a_hangs", "features", "    at = columns", "    while True:\n        pass\n    at = columns"
        ),
        "b_exits": broken(tmp_path, "b_exits", "candidates", head, f"{head}import os\nos._exit(7)\n"),
        "c_crashes": broken(tmp_path, "c_crashes", "source", head, f"{head}import os\nos.kill(os.getpid(), 11)\n"),
        "d_calls": broken(
            tmp_path,
            "d_calls",
            "expectations",
            start,
            f"    import socket\n    socket.create_connection(('127.0.0.1', 9))\n{start}",
        ),
        "e_wrong": broken(tmp_path, "e_wrong", "model", "owner=", "ownr="),
        "f_right": broken(tmp_path, "f_right", "model", "owner=", "owner="),
    }
    monkeypatch.setattr(run, "WAITING", 1000)
    begin = {name: folders[name] for name in ("a_hangs", "b_exits")}  # apart, so that waiting for the limit is short
    found = run.lint(begin, seconds=3) + run.lint({n: f for n, f in folders.items() if n not in begin})
    by_folder = {name: [p for p in found if p.place.file.parent == folder] for name, folder in folders.items()}

    def only(name: str) -> Problem:
        assert len(by_folder[name]) == 1, [str(p) for p in found]
        return by_folder[name][0]

    hung = only("a_hangs")
    assert "takes longer than 3 s of processor time" in hung.what
    assert hung.place.line in (line_of(hung.place.file, "while True"), line_of(hung.place.file, "while True") + 1)
    assert "exit status 7" in only("b_exits").what
    assert only("b_exits").place.file.name == "candidates.py"
    assert "SIGSEGV" in only("c_crashes").what
    assert only("c_crashes").place.file.name == "source.py"
    assert "no network" in only("d_calls").what
    assert only("d_calls").place.line == line_of(only("d_calls").place.file, "socket.create_connection")
    assert "did you mean 'owner'" in str(only("e_wrong"))
    assert by_folder["f_right"] == []


def test_a_busy_machine_does_not_make_a_folder_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only processor time counts towards the limit. Waiting has a much longer limit, by the clock."""
    waits = broken(tmp_path, "waits", "features", "import numpy", "import time\ntime.sleep(3.5)\nimport numpy")
    candidates = waits / "candidates.py"
    candidates.write_text(candidates.read_text().replace("max_leaf_nodes=8", "max_leaf_nodes=1"))  # nothing is fitted
    monkeypatch.setattr(run, "WAITING", 1000)
    (problem,) = run.lint({"waits": waits}, seconds=3)
    assert "max_leaf_nodes" in problem.what
    monkeypatch.setattr(run, "WAITING", 0.5)
    (problem,) = run.lint({"waits": waits}, seconds=3)
    assert problem.what == "running it takes longer than 1.5 s"


def test_exit_codes(tmp_path: Path) -> None:
    folder = broken(tmp_path, "e_wrong", "model", "owner=", "ownr=")
    text = command("--model", "e_wrong", models=tmp_path)
    assert text.returncode == 1, text.stderr
    line = line_of(folder / "model.py", "ownr=")
    assert f"{folder / 'model.py'}:{line}: Model has no 'ownr'; did you mean 'owner'?" in text.stdout
    assert text.stdout.splitlines()[-1] == "1 model, 1 mistake"
    (folder / "model.py").write_text((folder / "model.py").read_text().replace("ownr=", "owner="))
    repaired = command("--model", "e_wrong", models=tmp_path)
    assert (repaired.returncode, repaired.stdout) == (0, "1 model, no mistake\n")


def test_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The mistakes are found once, in this process, and printed in both formats that machines read."""
    folder = broken(tmp_path, "e_wrong", "model", "owner=", "ownr=")
    line = line_of(folder / "model.py", "ownr=")
    problems = lint("e_wrong", folder, fit=False)
    monkeypatch.setattr(include.models, "__path__", [*include.models.__path__, str(tmp_path)])
    monkeypatch.setattr(run, "lint", lambda folders, seconds: problems if folders == {"e_wrong": folder} else [])

    def printed(form: str) -> str:
        assert main(["--model", "e_wrong", "--format", form]) == 1
        return capsys.readouterr().out

    assert re.search(rf"^::error file=.*model\.py,line={line},col=5::Model has no 'ownr'", printed("github"), re.M)
    (problem,) = json.loads(printed("json"))
    assert (problem["line"], problem["suggestion"]["text"]) == (line, "owner")


@pytest.mark.parametrize(
    ("arguments", "models", "message"),
    [
        (["--model", "bike_demands"], "", "did you mean 'bike_demand'?"),
        ([], "/nowhere/at/all", "PERENNIAL_MODELS names '/nowhere/at/all', which is not a folder"),
        (["changed", "--base", "no-such-branch"], "", "no-such-branch"),
    ],
)
def test_a_request_that_cannot_be_linted_is_refused(arguments: list[str], models: str, message: str) -> None:
    done = command(*arguments, models=models)
    assert done.returncode == 2
    assert message in done.stderr


def test_without_any_model_the_lint_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(include.models, "__path__", [str(tmp_path)])
    with pytest.raises(ConfigurationError, match="no model folder found: create one"):
        run.chosen([])


def test_the_lint_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = copy(TOY, tmp_path / "toy")
    before = sorted(p.name for p in folder.rglob("*"))
    assert run.lint({"toy": folder}) == []
    assert sorted(p.name for p in folder.rglob("*")) == before
