"""Small parts of sentences that several modules write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from include.monitoring.wording import count as count
from include.monitoring.wording import listed as listed

# The notes of runs begin with the outcome, which a page shows by itself: ``REJECTED v7 (boosting): ...``,
# ``FAILED in `package`: ...``. Those of an earlier release had it in small letters, after what a person wrote.
_OUTCOME = re.compile(
    r"(?:ACKNOWLEDGED|ACTION REQUIRED|BROKEN|CLOSED|COMPACTED|FAILED|HELD|LIFTED|LOADED|MARKED|MONITORED|NOTHING TO|"
    r"OPENED|PASSED|PROMOTED|PUBLISHED|REFUSED|REJECTED|REPAIRED|ROLLED BACK|SKIPPED)\b[^:\n]*:\s+"
    r"|(?i:\**(?:promoted|held|rejected|skipped|failed|stopped|refused|frozen|broken|not run|running)\**\s*:\s+)"
)


def sentence_of(note: str | None) -> str:
    """The sentence of a run's note, without its outcome and without what a person wrote next to it; "" without one."""
    parts = [part.strip() for part in re.split(r"\n\s*\n", note or "") if part.strip()]
    if not parts:
        return ""
    said = next((part for part in parts if _OUTCOME.match(part)), parts[-1])
    outcome = _OUTCOME.match(said)
    sentence = " ".join(said[outcome.end() if outcome else 0 :].split())
    return sentence[:1].upper() + sentence[1:]


def ended(sentence: str) -> str:
    """A sentence with a full stop."""
    return sentence if sentence.endswith((".", "!", "?", ":")) else f"{sentence}."


def recipe_of(recipe: Mapping[str, Any]) -> str | None:
    """A recipe of the ledger in words, as `Recipe` says it: ``boosting on 60 days``; None if it is not known."""
    if not recipe.get("candidate"):
        return None
    return f"{recipe['candidate']} on {recipe.get('window_days', 'an unknown number of')} days"
