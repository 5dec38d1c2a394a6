"""The vocabulary of a model: what `model.py` and `candidates.py` import. Frozen, strict, and cheap to import.

The scheduler parses every `model.py` every few seconds, so nothing here imports more than pydantic. The text below a
field is its meaning; `include.authoring.reference` makes the reference in `include/models/README.md` of it.
"""

from include.spec.base import METRICS, Declaration, Metric
from include.spec.cron import Cron
from include.spec.gate import Fairness, Floor, Gate, Power, Scorer
from include.spec.model import (
    Candidate,
    Class,
    Column,
    ColumnType,
    Data,
    Known,
    Label,
    Model,
    Name,
    Severity,
    Task,
    Training,
)
from include.spec.monitoring import Monitoring
from include.spec.release import Release
from include.spec.serving import Serving

__all__ = [
    "METRICS",
    "Candidate",
    "Class",
    "Column",
    "ColumnType",
    "Cron",
    "Data",
    "Declaration",
    "Fairness",
    "Floor",
    "Gate",
    "Known",
    "Label",
    "Metric",
    "Model",
    "Monitoring",
    "Name",
    "Power",
    "Release",
    "Scorer",
    "Serving",
    "Severity",
    "Task",
    "Training",
]
