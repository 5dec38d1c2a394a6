"""Texts that stand for a missing value: those of numbers and times in general, and those that a model declares."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

NULLS = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "#N/A", "?", "-", "\\N")


def without(values: pa.Array, words: Iterable[str]) -> pa.Array:
    """Texts that are one of these words, apart from blanks around them, as missing; ``""`` stands for blank texts.

    Other types are returned as they are.
    """
    if not is_text(values):
        return values
    words = list(words)
    gone = pc.is_in(pc.utf8_trim_whitespace(values), value_set=pa.array(words, values.type))
    return pc.if_else(gone, pa.scalar(None, values.type), values) if words and pc.any(gone).as_py() else values


def is_text(values: pa.Array) -> bool:
    """Whether an array holds texts whose words can be compared."""
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))
