"""The small model, one of its days, and a new lake for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.data.lake import Lake
from include.partitions import Partition, partition
from include.spec import Model
from tests.data.sensors import small_model


@pytest.fixture
def model() -> Model:
    return small_model()


@pytest.fixture
def day(model: Model) -> Partition:
    return partition("2026-05-03", model.timezone)


@pytest.fixture
def lake(model: Model, tmp_path: Path) -> Lake:
    lake = Lake(model, tmp_path / model.name)
    lake.create()
    return lake
