"""Small CSV files, what `new-model` finds in them, and what the source that it writes reads again."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include import catalog
from include.authoring import writing
from include.authoring.findings import Findings, Request
from include.authoring.new import infer
from include.errors import PerennialError
from include.partitions import partition

TODAY = date(2024, 6, 1)
DAYS, A_DAY = 40, 30
N = DAYS * A_DAY
DAY = "2024-05-31"


GERMAN = [f"{n % 9},{n % 10}5" for n in range(N)]  # a column that shows a decimal comma
ENGLISH = [f"{n % 9}.{n % 10}5" for n in range(N)]
VALUES = (np.random.default_rng(8).gamma(2, 900, N) + 1000.25).round(2)


def table(**columns: Any) -> pd.DataFrame:
    """Trips of 40 days that end on the day before `TODAY`, with a strong number and a label."""
    random = np.random.default_rng(3)
    at = pd.Timestamp(TODAY) - pd.Timedelta(days=DAYS) + pd.to_timedelta(np.arange(N) * 86_400 // A_DAY, unit="s")
    km = random.normal(30, 8, N).round(2)
    late = np.where(km + random.normal(0, 6, N) > 32, "yes", "no")
    return pd.DataFrame({"trip": [f"t{n:06d}" for n in range(N)], "at": at, "km": km, "late": late}).assign(**columns)


def text_of(frame: pd.DataFrame, **how: Any) -> str:
    return str(frame.to_csv(index=False, **how))


def request_for(path: Path, **changed: Any) -> Request:
    return dataclasses.replace(Request("trips", str(path), "late", "at"), **changed)


def found(tmp_path: Path, content: str | bytes | pd.DataFrame, **changed: Any) -> Findings:
    """What `new-model` finds in a file of this content."""
    content = text_of(content) if isinstance(content, pd.DataFrame) else content
    path = tmp_path / "trips.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return infer(request_for(path, **changed), TODAY)


def refusal(tmp_path: Path, content: str | bytes | pd.DataFrame, **changed: Any) -> str:
    with pytest.raises(PerennialError) as caught:
        found(tmp_path, content, **changed)
    return str(caught.value)


def said(findings: Findings) -> str:
    return "\n".join(sentence for sentences in findings.said.values() for sentence in sentences)


def fetched(findings: Findings, tmp_path: Path, day: str = DAY) -> pd.DataFrame:
    """The rows that the written source gives for a day."""
    request = dataclasses.replace(findings.request, into=tmp_path / "models")
    writing.write(dataclasses.replace(findings, request=request))
    rows: pd.DataFrame = catalog.module("trips", "source").fetch(partition(day, "UTC"), {})
    return rows
