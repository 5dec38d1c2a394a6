"""Names of columns that the lake can hold, made from the names in the source."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

ALLOWED = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")
RESERVED = {"partition"}
LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ø": "o", "Ø": "O"}
)
SIGNS = {"%": " percent ", "#": " number ", "€": " eur ", "$": " usd ", "&": " and "}


def declared_names(originals: Iterable[str]) -> dict[str, str]:
    """Declared name by original: unchanged if possible, else a readable one; all distinct, ignoring case."""
    originals = list(originals)
    taken = {name.lower() for name in originals if _can_stay(name)}
    given: dict[str, str] = {}
    seen: set[str] = set()
    for original in originals:
        if _can_stay(original) and original.lower() not in seen:
            given[original] = original
            seen.add(original.lower())
            continue
        name = base = cleaned(original)
        number = 2
        while name.lower() in seen or (name.lower() in taken and name != original):
            name, number = f"{base}_{number}", number + 1
        given[original] = name
        seen.add(name.lower())
    return given


def cleaned(original: str) -> str:
    """``Größe (cm)`` becomes ``groesse_cm``."""
    text = original.translate(LETTERS)
    for sign, word in SIGNS.items():
        text = text.replace(sign, word)
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    text = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").lower() or "column"
    if not text[0].isalpha():
        text = f"c_{text}"
    return f"{text}_value" if text in RESERVED else text


def free_name(wanted: str, taken: Iterable[str]) -> str:
    """``wanted``, with a number if it is taken."""
    lower = {name.lower() for name in taken}
    name, number = wanted, 2
    while name.lower() in lower:
        name, number = f"{wanted}_{number}", number + 1
    return name


def _can_stay(name: str) -> bool:
    return bool(ALLOWED.match(name)) and name.lower() not in RESERVED
