"""One champion for all tests of the monitor; each test has a copy of its home."""

from __future__ import annotations

from pathlib import Path

import pytest

from include import catalog
from include.cards import plots
from include.spec import Model
from tests import homes
from tests.monitoring import championed
from tests.services import Services, shared


@pytest.fixture(scope="session")
def toy() -> Model:
    """The toy, with a slice: the only thing that its own declaration lacks here."""
    model = catalog.load("toy")
    return model.model_copy(update={"gate": model.gate.model_copy(update={"slices": ("shop",)})})


@pytest.fixture(scope="session")
def running(pytestconfig: pytest.Config) -> Services:
    return shared(pytestconfig)


@pytest.fixture(scope="session")
def template(running: Services, tmp_path_factory: pytest.TempPathFactory, toy: Model) -> homes.Home:
    """Made with patches that end here: it lives as long as the session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "draw", lambda *_: {})
        return championed.make(running, tmp_path_factory.mktemp("championed"), toy, patch)


@pytest.fixture
def home(template: homes.Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> homes.Home:
    copy = template.copy(tmp_path / "home")
    copy.enter(monkeypatch)
    return copy
