"""How a version goes into service."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from include.spec.base import Declaration


class Release(Declaration):
    """How a version goes into service."""

    parity: Annotated[float, Field(gt=0)] = 1e-5
    """The largest difference of a score between ONNX and scikit-learn (relative, if a number is predicted)."""
    max_row_milliseconds: Annotated[float, Field(gt=0)] = 20
    """Processor time that one row may take from its JSON to a score, features included, in one thread. Other work on
    the machine does not count."""
    max_megabytes: Annotated[float, Field(gt=0)] = 100
    """How large the served ONNX file may be."""
    verify_timeout: timedelta = timedelta(seconds=60)
    """How long the model server may report that it cannot serve a new champion before the old one comes back. A server
    that is away has three times as long, and one that answers but has not loaded the champion yet ten times."""
