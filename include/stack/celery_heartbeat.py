"""Touches a file whenever a Celery worker sends its heartbeat, so that a health check needs no Celery or Airflow.

Imported by the worker (Celery's setting ``imports``). The heartbeat is sent from the loop that also receives tasks,
over the connection to the broker, every two seconds.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from celery.signals import heartbeat_sent

FILE = Path(os.environ.get("CELERY_HEARTBEAT_FILE") or Path(tempfile.gettempdir()) / "celery-heartbeat")


@heartbeat_sent.connect
def touch(**_: Any) -> None:
    """Record that the worker is alive."""
    FILE.touch(mode=0o600)
