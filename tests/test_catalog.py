"""The catalog finds models and reports what is wrong in a broken folder, where, and the closest valid value."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import include.models
from include import catalog
from include.errors import ConfigurationError

GOOD = Path(__file__).parent / "models_for_tests" / "toy"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A copy of a good model folder, named ``copied``, that the catalog sees."""
    target = tmp_path / "copied"
    shutil.copytree(GOOD, target, ignore=shutil.ignore_patterns("__pycache__"))
    model = target / "model.py"
    model.write_text(model.read_text().replace('name="toy"', 'name="copied"'))
    before = list(include.models.__path__)
    include.models.__path__ = [*before, str(tmp_path)]
    yield target
    for name in [n for n in sys.modules if n.startswith("include.models.copied")]:
        del sys.modules[name]  # the next test has another folder of the same name
    include.models.__path__ = before


def problem(folder: Path) -> str:
    found = catalog.entry(folder.name)
    assert found.model is None
    return found.problem or ""


def test_finds_the_models_of_the_project() -> None:
    names = {e.name for e in catalog.entries()}
    assert {"bike_demand", "electricity", "toy"} < names
    assert all(e.problem is None for e in catalog.entries()), [e.problem for e in catalog.entries()]


def test_models_come_by_priority_then_by_name(folder: Path) -> None:
    order = [(-model.priority, model.name) for model in catalog.by_priority()]
    assert order == sorted(order) and len(order) == len(catalog.entries()) > 3
    model = folder / "model.py"
    model.write_text(model.read_text().replace("priority=99", "priority=100"))
    others = [m.name for m in catalog.by_priority() if m.priority == 100]
    assert "copied" in others and others == sorted(others)
    model.write_text("MODEL = 1\n")
    assert "copied" not in [m.name for m in catalog.by_priority()], "a broken model is not listed"


def test_a_folder_that_is_removed_while_the_others_are_read_does_not_hide_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = catalog.folders()
    monkeypatch.setattr(catalog, "folders", lambda: found | {"removed": folder.parent / "removed"})
    assert {entry.name for entry in catalog.entries()} == set(found)
    assert [entry.name for entry in catalog.entries(lambda name: name == "removed")] == []
    assert catalog.candidate_names("removed") == ()


def test_a_good_copy_loads(folder: Path) -> None:
    assert catalog.load("copied").name == "copied"
    assert callable(catalog.module("copied", "features").build)


def test_an_unknown_model_gets_the_nearest_name() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'bike_demand'"):
        catalog.load("bike_demands")


def test_an_unknown_key_gets_the_nearest_one(folder: Path) -> None:
    model = folder / "model.py"
    model.write_text(model.read_text().replace("owner=", "ownr="))
    text = problem(folder)
    assert "did you mean 'owner'" in text
    assert str(model) in text


def test_every_mistake_is_reported_at_its_argument(folder: Path) -> None:
    """The DAG `<model>_broken` shows the line of the argument, not the line of the enclosing call."""
    model = folder / "model.py"
    model.write_text(
        model.read_text()
        .replace("owner=", "ownr=")
        .replace('event_time="at"', 'event_time="att"')
        .replace("=0.02", '=""')
    )
    lines = model.read_text().split("\n")
    text = problem(folder)
    for wrong, hint in (("ownr=", "'owner'"), ('"att"', "'at'"), ('margin=""', "0.02")):
        line = next(n for n, row in enumerate(lines, 1) if wrong in row)
        assert any(f"{model}:{line}:" in row and hint in row for row in text.split("\n")), text


@pytest.mark.parametrize("file", ["source", "expectations", "features", "candidates"])
def test_a_missing_function_names_file_and_signature(folder: Path, file: str) -> None:
    path = folder / f"{file}.py"
    function = catalog.FILES[file][0]
    path.write_text(path.read_text().replace(f"def {function}(", f"def {function}x("))
    text = problem(folder)
    assert str(path) in text
    assert f"did you mean '{function}x'" in text
    assert catalog.SIGNATURES[file] in text


def test_wrong_arguments_are_named_with_the_line(folder: Path) -> None:
    (folder / "features.py").write_text("\n\ndef build(columns, extra):\n    return {}\n")
    assert f"{folder / 'features.py'}:3" in problem(folder)


def test_a_syntax_error_is_reported_at_its_line(folder: Path) -> None:
    (folder / "source.py").write_text("def fetch(partition, connections):\n    return (\n")
    assert f"{folder / 'source.py'}:2" in problem(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "candidates.py").rename(folder / "candidate.py")
    text = problem(folder)
    assert "candidates.py is missing" in text
    assert "did you mean 'candidate.py'" in text


def test_an_error_in_model_py_is_reported_at_its_line_and_other_models_still_load(folder: Path) -> None:
    model = folder / "model.py"
    lines = model.read_text().splitlines()
    model.write_text("\n".join([*lines, "MODEL = undefined_name", ""]))
    assert f"{model}:{len(lines) + 1}" in problem(folder)
    assert catalog.entry("toy").problem is None


def test_the_folder_and_the_name_must_agree(folder: Path) -> None:
    model = folder / "model.py"
    model.write_text(model.read_text().replace('name="copied"', 'name="other"'))
    assert "'other'" in problem(folder)


def test_a_repaired_folder_loads_again(folder: Path) -> None:
    model = folder / "model.py"
    good = model.read_text()
    model.write_text(good.replace("owner=", "ownr="))
    assert problem(folder)
    model.write_text(good)
    assert catalog.entry("copied").problem is None


def test_the_digest_changes_only_with_its_own_model(folder: Path) -> None:
    before, other = catalog.digest("copied"), catalog.digest("toy")
    assert catalog.digest("copied") == before
    path = folder / "features.py"
    path.write_text(path.read_text() + "\n")
    assert catalog.digest("copied") != before
    assert catalog.digest("toy") == other


def test_the_names_of_candidates_are_read_without_running_the_file(folder: Path) -> None:
    file = folder / "candidates.py"
    file.write_text("raise SystemExit\n" + file.read_text())
    assert catalog.candidate_names("copied") == ("baseline", "logistic", "boosting", "boosting_all", "coarse")


@pytest.mark.parametrize(
    "body",
    [
        "return {**others(), 'boosting': 1}",
        "return {NAME: 1, 'boosting': 2}",
        "found = {'boosting': 1}\n    return found",
        "if FEW:\n        return {'boosting': 1}\n    return {'boosting': 1, 'linear': 2}",
        "return [1]",
        "pass",
    ],
)
def test_names_that_only_running_the_file_shows_are_not_guessed(folder: Path, body: str) -> None:
    (folder / "candidates.py").write_text(f"def candidates():\n    {body}\n")
    assert catalog.entry("copied").model is not None and catalog.candidate_names("copied") == ()
