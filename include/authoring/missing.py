"""Which texts mean a missing value in a column of texts: the user's, the usual ones, or a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.sources.missing import NULLS

# Values as well as words for nothing: Namibia and sodium, a class of its own, a negative blood group.
QUESTIONS = ("NA", "None", "-")
FREQUENT = 0.01
MOST_DIFFERENT = 0.2  # of the rows: a column with more values is not categorical


@dataclass(frozen=True)
class Nulls:
    """What the user named in NULLS: words for every column, and for single ones (``column:word``)."""

    everywhere: tuple[str, ...]
    by_column: Mapping[str, tuple[str, ...]]

    def of(self, original: str) -> tuple[str, ...]:
        return (*self.everywhere, *self.by_column.get(original, ()))


def nulls_of(text: str, names: list[str]) -> Nulls:
    """From ``NA,?,country:n.a.``; an empty text: only empty cells are missing."""
    everywhere: list[str] = []
    by_column: dict[str, tuple[str, ...]] = {}
    for part in (part.strip() for part in text.split(",")):
        name, colon, word = part.partition(":")
        if colon and name.strip() in names:
            by_column[name.strip()] = (*by_column.get(name.strip(), ()), word.strip())
        elif part:
            everywhere.append(part)
    return Nulls(tuple(everywhere), by_column)


@dataclass(frozen=True)
class MissingWords:
    """The words of a column of texts that mean missing, and those that a person must decide about, with their rows."""

    words: Mapping[str, int]
    questions: Mapping[str, int]


def missing_words(original: str, counts: Mapping[str, int], asked: Nulls | None) -> MissingWords:
    """Of the texts of a column, without blanks around them; ``""`` are cells of blanks only."""
    blank = {"": counts[""]} if counts.get("") else {}
    if asked is not None:
        return MissingWords(blank | {w: counts[w] for w in asked.of(original) if w in counts}, {})
    total = sum(counts.values())
    usual = {word: counts[word] for word in NULLS if word and word in counts}
    left = [text for text in counts if text and text not in usual]
    categorical = 0 < len(left) <= max(20, MOST_DIFFERENT * total)
    questions = {
        word: rows for word, rows in usual.items() if word in QUESTIONS and categorical and rows >= FREQUENT * total
    }
    return MissingWords(blank | {word: rows for word, rows in usual.items() if word not in questions}, questions)
