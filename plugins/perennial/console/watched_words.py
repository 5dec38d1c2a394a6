"""Health, incidents and counters in words: the same on every page."""

from __future__ import annotations

from collections.abc import Mapping

from include.overview.records import CounterOf, DriftMap, HealthState, IncidentOf
from perennial.console import words

MEANINGS: Mapping[HealthState, str] = {
    HealthState.HEALTHY: "monitored within two days, and no incident is open",
    HealthState.DRIFTING: "the inputs or the scores differ from the reference",
    HealthState.STALE: "a newer fit would be better",
    HealthState.DAMAGED: "rows are damaged, or the newest day was rejected",
    HealthState.SERVICE: "the model server does not do what it should",
    HealthState.INTERRUPTED: "a night, a day, a run or a load of predictions failed or did not happen",
    HealthState.UNKNOWN: "not monitored yet, or not for two days",
}
"""For the legend."""
STATES: Mapping[str, str] = {"violated": "BEYOND LIMIT", "unknown": "unknown", "healthy": "within limit"}
COLOURS: Mapping[str, str] = {"violated": "bad", "unknown": "warn", "healthy": "good"}
"""Classes of the style sheet, next to the word that says the same."""
COUNTERS: Mapping[str, str] = {
    "rows": "rows",
    "missing": "missing values",
    "unseen_categories": "unseen categories",
    "out_of_range": "values out of range",
    "duplicates": "duplicate rows",
    "rejected_day": "rejected day",
    "late_day": "late day",
    "repeated_day": "copy of the day before",
    "stuck": "different values",
    "worse_than_baseline": "lead of the trivial baseline",
    "quarantined": "rows in quarantine",
    "prediction_errors": "prediction errors",
    "latency": "latency",
    "unmatched_predictions": "predictions without a row",
    "unlabelled_rows": "rows without a label",
}
MEASURES: Mapping[str, str] = {
    "wasserstein": "Wasserstein",
    "jensen_shannon": "Jensen-Shannon",
    "weighted_drift": "weighted",
}


def counter(of: CounterOf) -> str:
    """``missing values``."""
    return COUNTERS.get(of.measure, of.measure.replace("_", " "))


def measure(name: str) -> str:
    """``Jensen-Shannon``."""
    return MEASURES.get(name, name.replace("_", " "))


def limits(low: float | None, high: float | None) -> str:
    """``at most 3``, ``2 to 5``."""
    if low is not None and high is not None:
        return f"{words.number(low)} to {words.number(high)}"
    if high is not None:
        return f"at most {words.number(high)}"
    return "–" if low is None else f"at least {words.number(low)}"


def health_slug(state: HealthState) -> str:
    """A class of the style sheet, such as ``damaged-data``."""
    return state.value.replace(" ", "-")


def open_incidents(of: tuple[IncidentOf, ...]) -> list[IncidentOf]:
    """Those that are not closed."""
    return [one for one in of if one.state != "closed"]


def days_of(drift: DriftMap, feature: str) -> list[str]:
    """The days on which a feature was measured, newest first."""
    cells = next((row.cells for row in drift.rows if row.feature and row.subject == feature), ())
    return [cell.day for cell in reversed(cells) if cell is not None]
