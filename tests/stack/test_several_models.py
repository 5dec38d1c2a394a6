"""Several models in one house: which night is meant, what is listed, and how a start ends."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import include.models
from include import catalog
from include.backtest.__main__ import main as backtest
from include.errors import ConfigurationError
from include.stack.first_champions import closing
from include.stack.running import _served

TOY = Path(__file__).parent.parent / "models_for_tests" / "toy"


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Path]:
    """A house with one folder of models, which has one model."""
    shutil.copytree(TOY, tmp_path / "toy", ignore=shutil.ignore_patterns("__pycache__"))
    before = list(include.models.__path__)
    include.models.__path__ = [str(tmp_path)]
    yield tmp_path
    include.models.__path__ = before


def test_a_night_without_a_name_is_that_of_the_only_model(alone: Path) -> None:
    assert (
        catalog.chosen(None, "night").name
        == catalog.chosen("", "night").name
        == catalog.chosen("toy", "night").name
        == "toy"
    )


@pytest.mark.parametrize("target", ["night", "try-model", "backtest"])
def test_without_a_name_in_a_house_of_several_all_are_named(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    if target == "night":
        with pytest.raises(ConfigurationError) as error:
            catalog.chosen(None, target)
        said = str(error.value)
    else:
        assert backtest(["run" if target == "backtest" else "try"]) == 1
        said = capsys.readouterr().err
    assert "which model" in said
    for model in catalog.by_priority():
        assert model.name in said
    assert f"make {target} MODEL={catalog.by_priority()[0].name}" in said


def test_a_night_of_an_unknown_model_names_the_nearest(alone: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'toy'"):
        catalog.chosen("toi", "night")


def test_the_status_names_every_model_whatever_its_state(alone: Path) -> None:
    shutil.copytree(alone / "toy", alone / "halfway")
    (alone / "halfway" / "source.py").unlink()
    lines = _served([{"model": "gone", "version": 4}, {"model": "frozen", "version": None}])
    assert lines[0] == "  toy: no champion yet"
    assert lines[1].startswith("  halfway: broken: ") and "source.py is missing" in lines[1]
    assert lines[2:] == ["  gone: version 4", "  frozen: out of service"]
    assert _served([{"model": "toy", "version": 3}])[0] == "  toy: version 3"
    both = _served([{"model": "halfway", "version": 2}])
    assert both[1].startswith("  halfway: version 2; its folder is broken: ")


def test_the_last_line_of_a_start_says_who_has_no_champion() -> None:
    assert closing(3, []) == "3 of 3 models serve."
    assert closing(3, ["demand"]) == "2 of 3 models serve. Without a champion: demand; see above."
