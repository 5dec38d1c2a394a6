"""A model that uses an optional package which is not installed: one sentence says what to type."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from include import catalog, extras
from include.errors import ConfigurationError
from include.linting.folder import lint
from include.models import __path__ as models_path
from include.settings import PROJECT
from include.training import candidates

TOY = PROJECT / "tests" / "models_for_tests" / "toy"


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> str:
    """LightGBM, which is not installed, whether or not it is."""
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    return "lightgbm"


def toy_with(place: Path, line: str, inside: bool) -> Path:
    """A copy of the toy with another import in candidates.py: at the top, or in candidates()."""
    folder = place / ("inside" if inside else "top")
    folder.mkdir()
    for file in TOY.glob("*.py"):
        (folder / file.name).write_text(file.read_text().replace('name="toy"', f'name="{folder.name}"'))
    path = folder / "candidates.py"
    before, found, after = path.read_text().partition("def candidates() -> dict[str, Candidate]:\n")
    assert found
    path.write_text(f"{before}{found}    {line}\n\n{after}" if inside else f"{before}{line}\n\n\n{found}{after}")
    return folder


@pytest.mark.parametrize("inside", [False, True], ids=["at-the-top", "in-the-function"])
def test_lint_says_what_to_type(tmp_path: Path, without: str, inside: bool) -> None:
    folder = toy_with(tmp_path, "from lightgbm import LGBMClassifier", inside)
    found = [p for p in lint(folder.name, folder) if p.severity == "error"]
    line = (folder / "candidates.py").read_text().split("from lightgbm")[0].count("\n") + 1
    assert [(p.place.file.name, p.place.line) for p in found] == [("candidates.py", line)]
    assert "lightgbm, which is not installed" in found[0].what and found[0].hint == "make venv EXTRAS=lightgbm"


@pytest.mark.parametrize("inside", [False, True], ids=["at-the-top", "in-the-function"])
def test_a_night_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str, inside: bool) -> None:
    name = toy_with(tmp_path, "import lightgbm", inside).name
    monkeypatch.setattr("include.models.__path__", [*models_path, str(tmp_path)])
    with pytest.raises(ConfigurationError) as refused:
        candidates.load(catalog.load(name))
    assert str(refused.value).endswith(f"candidates of {name} need lightgbm: make venv EXTRAS=lightgbm")
    assert "candidates.py" in str(refused.value)


def test_every_extra_is_pinned_and_offered() -> None:
    optional = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert optional.keys() - {"dev"} == set(extras.EXTRAS.values())
    locked = (PROJECT / "requirements.txt").read_text()
    for extra in set(extras.EXTRAS.values()):
        assert all("==" in pin and "*" not in pin for pin in optional[extra]), extra
        assert not [pin for pin in optional[extra] if f"\n{pin.split('==')[0]}==" in locked], "pinned twice"
        assert any(pin.startswith(extra) for pin in optional[extra])
