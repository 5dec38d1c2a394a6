"""The layers of the project: no upward imports, no import cycles, and no import of Airflow in `include`."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from include.mistakes.importable import may_import

ROOT = Path(__file__).parent.parent
TOP_LEVEL = {"README.md", "requirements.txt", "dags", "plugins", "include", "tests", "docker-compose.yaml"}
TOOLING = {"Makefile", "pyproject.toml", "LICENSE"}


def imports(path: Path) -> set[str]:
    """Return every module that a file imports, at any level of nesting."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def python_files(folder: str) -> list[Path]:
    return [p for p in sorted((ROOT / folder).rglob("*.py")) if "__pycache__" not in p.parts]


def test_the_layers_of_include() -> None:
    """The contracts are in pyproject.toml ([tool.importlinter])."""
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([str(lint), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", python_files("include"), ids=str)
def test_include_imports_neither_airflow_nor_the_plugins(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] not in ("airflow", "perennial", "dags", "tests"), f"{path} imports {name}"


@pytest.mark.parametrize("path", python_files("dags"), ids=str)
def test_dags_import_only_the_plugins(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] not in ("include", "tests"), f"{path} imports {name}: use an operator instead"


def test_model_files_import_only_the_vocabulary() -> None:
    """The files of a model import only `MAY_IMPORT` and their own folder from Perennial."""
    for path in python_files("include/models"):
        for name in imports(path):
            if name.startswith("include.") and path.parent.name != "models":
                assert may_import(name, path.parent.name), f"{path} imports {name}"
    for path in (ROOT / "include" / "models").glob("*/model.py"):
        assert {n for n in imports(path) if not n.startswith(("include.spec", "datetime", "__future__"))} == set(), path


def test_the_top_level_has_only_the_expected_entries() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    top = {name.split("/")[0] for name in listed}
    assert {t for t in top if not t.startswith(".")} <= TOP_LEVEL | TOOLING
