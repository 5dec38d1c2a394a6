"""Labels that differ only in how they are spelt: reported with their rows, and one class only if that was asked for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

import pandas as pd

from include.authoring.findings import Findings
from include.spec import ColumnType

ENDING = re.compile(r"[\s.,;:!?]+$")
BETWEEN = re.compile(r"(?<=\w)[\s_\-]+(?=\w)")


def settle_spelling(found: Findings) -> None:
    """Report labels that are spelt in several ways; with MERGE_LABELS, each becomes its most frequent spelling."""
    column = found.column(found.target)
    if column.type is not ColumnType.STRING:
        return
    counts = {str(label): int(rows) for label, rows in found.rows[found.target].value_counts().items()}
    groups = spelt_alike(counts)
    if not groups:
        if found.request.merge_labels:
            found.say("Look at", "MERGE_LABELS has nothing to merge: no labels differ only in their spelling.")
        return
    shown = "; ".join(
        ", ".join(f"{label!r} ({counts[label]:,})" for label in group) for group in list(groups.values())[:5]
    )
    if not found.request.merge_labels:
        found.say(
            "Look at",
            f"{column.original} has labels that differ only in their spelling, and are different classes: {shown}. "
            "MERGE_LABELS=yes makes one class of each group.",
        )
        return
    instead = {label: usual for usual, group in groups.items() for label in group if label != usual}
    found.rows[found.target] = found.rows[found.target].map(lambda label: instead.get(label, label), na_action="ignore")
    found.spell(found.target, instead, int(found.rows[found.target].nunique()))
    found.say("Target", f"Spellings of one label are merged, the first of each group is stored: {shown}.")


def spelt_alike(counts: Mapping[str, int]) -> dict[str, list[str]]:
    """Labels that are the same but for case, blanks, a full stop at the end, or a hyphen, by the most frequent one."""
    alike: dict[str, list[str]] = {}
    for label in sorted(counts, key=lambda text: (-counts[text], text)):
        if key := _key(label):
            alike.setdefault(key, []).append(label)
    return {group[0]: group for group in alike.values() if len(group) > 1}


def hint(found: Findings) -> str:
    """What to type if classes are too rare or too many because of their spelling."""
    counts = {label: 1 for label in found.rows[found.target].dropna().unique() if isinstance(label, str)}
    if found.request.merge_labels or not (groups := spelt_alike(counts)):
        return ""
    group = ", ".join(map(repr, pd.Series(next(iter(groups.values()))).head(3)))
    return f". Some differ only in their spelling ({group}): MERGE_LABELS=yes makes one class of each"


def _key(label: str) -> str:
    text = unicodedata.normalize("NFKC", label).casefold().strip()
    return BETWEEN.sub(" ", ENDING.sub("", text))
