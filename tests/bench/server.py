"""One-row predictions of the model server against `mlflow models serve` and against a route that does nothing."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.figures import Row
from tests.bench.shared import Bench


def measure(bench: Bench) -> Iterator[Row]:
    raise NotImplementedError
    yield
