"""How predictions are loaded into the lake."""

from __future__ import annotations

from include.spec.base import Declaration
from include.spec.cron import Cron


class Monitoring(Declaration):
    """How predictions are loaded into the lake."""

    schedule: Cron = "*/15 * * * *"
    """When the servers' spools of predictions are loaded into the lake."""
