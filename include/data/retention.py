"""How long older versions of the lake's tables stay readable, and with them the files that only they refer to.

A snapshot names the version of `rows` that it was frozen from, so versions are kept for ``data.keep``. Nothing refers
to a version of `predictions`, which gets a commit every 15 minutes: its versions are kept only as long as a reader may
need the files that it has opened.
"""

from __future__ import annotations

import re
from datetime import timedelta

from deltalake import DeltaTable

from include.spec import Model

LOG, FILES = "delta.logRetentionDuration", "delta.deletedFileRetentionDuration"
OF_PREDICTIONS = timedelta(days=7)


def of(model: Model, table: str) -> timedelta:
    """How long the versions of a table of this name are to be kept."""
    return OF_PREDICTIONS if table == "predictions" else max(model.data.keep, timedelta(days=1))


def properties(kept: timedelta) -> dict[str, str]:
    """The properties of a Delta table whose versions are kept so long."""
    return {LOG: f"interval {kept.days} days", FILES: f"interval {kept.days} days"}


def apply(table: DeltaTable, model: Model, name: str) -> bool:
    """Give an existing table the retention of `of`; returns whether it had another one.

    Only `predictions` get a shorter one: versions that were kept for a longer ``data.keep`` stay readable as promised.
    """
    wanted = of(model, name)
    have = {key: _days(table.metadata().configuration.get(key)) for key in (LOG, FILES)}
    if all(days == wanted.days or (days or 0) > wanted.days and name != "predictions" for days in have.values()):
        return False
    table.alter.set_table_properties(properties(wanted))
    return True


def _days(text: str | None) -> int | None:
    found = re.fullmatch(r"interval (\d+) days", text or "")
    return int(found[1]) if found else None
