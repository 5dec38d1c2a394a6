"""Several models in one house: which night is meant, what is listed, and how a start ends."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import include.models
from include import catalog
from include.errors import ConfigurationError
from include.stack.first_champions import closing
from include.stack.night import chosen
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
    assert chosen(None).name == chosen("").name == chosen("toy").name == "toy"


def test_a_night_without_a_name_in_a_house_of_several_names_them_all() -> None:
    with pytest.raises(ConfigurationError, match="which model") as error:
        chosen(None)
    for model in catalog.by_priority():
        assert model.name in str(error.value)
    assert f"make night MODEL={catalog.by_priority()[0].name}" in str(error.value)


def test_a_night_of_an_unknown_model_names_the_nearest(alone: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'toy'"):
        chosen("toi")


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
