"""Model code in bundles and in teams' folders can still import modules under their former names."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import numpy as np
import pytest

from include.former_names import FORMER
from include.training import dataset

OLD_FEATURES = b"""import numpy as np

from include.errors import did_you_mean, nearest
from include.features import MISSING, columns_for


def build(columns):
    return {"size": np.where(columns["size"] > 0, columns["size"], MISSING)}
"""
OLD_SOURCE = """from include import replay
from include.errors import ConfigurationError
from include.partitions import Partition
from include.replay import Replay, instants
from include.settings import PROJECT, Settings
from include.sources import CsvFile, EventTime, ParquetFiles, Source, SqlTable, rows_of_day
from include.sources.days import Source as TheSame
from include.spec import (
    Candidate, Column, ColumnType, Data, Fairness, Floor, Gate, Known, Label, Model, Monitoring, Power, Release, Scorer,
    Serving, Severity, Task, Training,
)

assert replay.Replay is Replay and TheSame is Source
"""


@pytest.mark.parametrize(("former", "name"), FORMER.items())
def test_a_former_name_is_the_module_itself(former: str, name: str) -> None:
    sys.modules.pop(former, None)
    module = importlib.import_module(name)
    assert importlib.import_module(former) is module
    assert module.__name__ == name and module.__spec__ is not None and module.__spec__.name == name
    assert importlib.util.find_spec(former) is not None


def test_the_features_code_of_an_old_bundle_runs() -> None:
    sys.modules.pop("include.features", None)
    built = dataset.builder_from_source(OLD_FEATURES, "bundle/source/features.py")({"size": np.array([2.0, 0.0])})
    assert built["size"][0] == 2.0 and np.isnan(built["size"][1])


def test_the_source_code_of_an_old_folder_runs() -> None:
    sys.modules.pop("include.replay", None)
    exec(compile(OLD_SOURCE, "source.py", "exec"), {})


def test_a_name_that_never_existed_is_still_an_error() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"include\.featuers"):
        importlib.import_module("include.featuers")
