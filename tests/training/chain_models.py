"""The models of `tests/models_for_chain` and their days. Only tests that call `show` see these models."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import include.models
from include import catalog
from include.partitions import keys_between, partition
from include.spec import Model

FOLDER = Path(__file__).parent.parent / "models_for_chain"


def show(patch: pytest.MonkeyPatch) -> None:
    """Let the catalog find the models until ``patch`` is undone."""
    patch.setattr(include.models, "__path__", [*include.models.__path__, str(FOLDER)])


def days(model: Model, first: str, last: str) -> pd.DataFrame:
    """Rows as in a snapshot, without a lake."""
    fetch = catalog.module(model.name, "source").fetch
    frames = [fetch(partition(k, model.timezone), {}).assign(partition=k) for k in keys_between(first, last)]
    frame = pd.concat(frames, ignore_index=True)
    return frame.assign(at=frame["at"].dt.tz_convert("UTC"))
