"""The validation of a partition as one self-contained HTML page."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from include.data.lake import RawBatch
from include.data.quality import Validation
from include.partitions import Partition
from include.spec import Model

MOST_ROWS = 50


def render(model: Model, partition: Partition, validation: Validation, batch: RawBatch) -> str:
    """The page: verdict, counts, checks (failed ones first), and the first 50 rows in quarantine."""
    rows = [
        {**row, "_key": json.loads(row["_key"])} for row in validation.quarantined.head(MOST_ROWS).to_dict("records")
    ]
    verdict = "rejected" if validation.critical else "passed with findings" if validation.failed else "passed"
    return _template().render(
        model=model,
        partition=partition,
        validation=validation,
        batch=batch,
        verdict=verdict,
        rows=rows,
        checks=sorted(validation.checks, key=lambda c: (c.success, _RANK[str(c.severity)])),
    )


_RANK = {"critical": 0, "warning": 1, "info": 2}


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["short"] = _short
    return environment.from_string(Path(__file__).with_name("report.html.j2").read_text(encoding="utf-8"))


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return " · ".join(f"{v}" for v in value.values())
    return str(value)
