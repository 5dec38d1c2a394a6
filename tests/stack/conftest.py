"""The sockets of a home with a long path go to the temporary folder: in tests, to the test's own."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.stack.signals import StopSignals


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder: Path = tmp_path_factory.mktemp("t")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    """Those of `make run`; the handlers of the test run come back."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield StopSignals()
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
