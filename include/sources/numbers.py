"""Numbers as people write them: a decimal comma, thousands in groups, a currency sign, a minus behind the number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

BLANKS = " \t\u00a0\u2007\u2009\u202f"
# A blank and an apostrophe separate thousands in several spellings; one stands for all of them.
SPELLINGS = {" ": "[ \u00a0\u2007\u2009\u202f]", "'": "['\u2019]"}
MINUS = "[-+\u2212]"


@dataclass(frozen=True)
class NumberFormat:
    """How the texts of a column write numbers.

    Parameters
    ----------
    decimal : the decimal sign.
    thousands : the sign between groups of digits, or empty. Groups have three digits; in India all but the last two.
    signs : texts before or behind a number that do not change it: a currency, ``%``. All of them may be absent.
    """

    decimal: str = "."
    thousands: str = ""
    signs: tuple[str, ...] = ()

    def value(self, text: str) -> float | None:
        """The number, or None if the text is not written in this way."""
        found = _pattern(self).match(text.strip(BLANKS))
        if not found:
            return None
        digits = found["digits"]
        if self.thousands:
            digits = re.sub(SPELLINGS.get(self.thousands, re.escape(self.thousands)), "", digits)
        number = float(digits.replace(self.decimal, ".") if self.decimal != "." else digits)
        signs = [s for s in (found["before"], found["inner"], found["behind"]) if s]
        if len(signs) + bool(found["open"]) > 1 or bool(found["open"]) != bool(found["close"]):
            return None
        return -number if found["open"] or (signs and signs[0] != "+") else number

    def read(self, texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
        """The numbers as float64, missing where the text is; and for each row whether its text is no such number."""
        coded = texts.dictionary_encode()
        known = coded.dictionary.to_pylist()
        values = [None if text is None else self.value(text) for text in known]
        wrong = np.array([v is None and t is not None for v, t in zip(values, known, strict=True)], dtype=bool)
        numbers = pa.array(values, pa.float64()).take(coded.indices)
        places = coded.indices.fill_null(0).to_numpy(zero_copy_only=False)
        there = coded.indices.is_valid().to_numpy(zero_copy_only=False)
        return numbers, (wrong[places] & there if len(wrong) else np.zeros(len(texts), dtype=bool))


@lru_cache(maxsize=256)
def _pattern(format: NumberFormat) -> re.Pattern[str]:
    """Of a whole text without blanks around it."""
    point = re.escape(format.decimal)
    whole = r"\d+"
    if format.thousands:
        group = SPELLINGS.get(format.thousands, re.escape(format.thousands))
        whole = rf"(?:\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}}|\d+)"
    digits = rf"(?P<digits>(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?)"
    blank = f"[{BLANKS}]*"
    sign = "|".join(re.escape(s) for s in sorted(format.signs, key=len, reverse=True))
    affix = f"(?:{sign})?" if sign else ""
    return re.compile(
        rf"^(?P<open>\()?(?P<before>{MINUS})?{blank}{affix}{blank}(?P<inner>{MINUS})?{digits}{blank}"
        rf"{affix}{blank}(?P<behind>[-\u2212])?(?P<close>\))?$"
    )
