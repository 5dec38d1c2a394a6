"""Small parts of sentences that several modules write."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# The notes of runs begin with the outcome, which a page shows by itself: ``REJECTED v7 (boosting): ...``,
# ``FAILED in `package`: ...``. Those of an earlier release had it in small letters, after what a person wrote.
_OUTCOME = re.compile(
    r"(?:ACKNOWLEDGED|ACTION REQUIRED|BROKEN|CLOSED|FAILED|HELD|LIFTED|LOADED|"
    r"MARKED|NOTHING TO|PASSED|PROMOTED|PUBLISHED|REFUSED|REJECTED|"
    r"REPAIRED|ROLLED BACK|SKIPPED)\b[^:\n]*:\s+"
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


def count(number: int, what: str) -> str:
    """``1 day``, ``2 days``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], most: int = 4) -> str:
    """``a, b and c``; of many the first, and how many others there are."""
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))


def recipe_of(recipe: Mapping[str, Any]) -> str | None:
    """A recipe of the ledger in words, as `Recipe` says it: ``boosting on 60 days``; None if it is not known."""
    if not recipe.get("candidate"):
        return None
    return f"{recipe['candidate']} on {recipe.get('window_days', 'an unknown number of')} days"
