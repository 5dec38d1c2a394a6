"""The toy model."""

from __future__ import annotations

import pytest

from include import catalog
from include.spec import Model


@pytest.fixture(scope="session")
def toy() -> Model:
    return catalog.load("toy")
