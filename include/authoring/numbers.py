"""Whether the texts of a column are numbers, and how they are written: decided for each column by all its texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from include.sources.missing import NULLS
from include.sources.numbers import BLANKS, MINUS, SPELLINGS, NumberFormat
from include.spec import ColumnType

EXACT = 2**53  # whole numbers beyond it are not exact as float64
FEW_SHARE, FEW_CELLS, FEW_OF = 0.01, 5, 0.05  # cells that are no number: 1 %, or 5 if they are less than 5 %
CLEAR = 30  # numbers of one form, after which another form would have been seen
CODES = 20  # different whole numbers: with fewer, a column may as well hold codes
# Next to those of `NULLS`: what people and spreadsheets write into a number column if there is no number.
MISSING_WORDS = {
    "n.a.", "n.a", "na", "na.", "n/a", "n.d.", "nd", "nil", "none", "null", "nan", "missing", "unknown", "undefined",
    ".", "..", "...", "--", "---", "\u2013", "\u2014", "not available", "not applicable", "no data", "tbd", "<na>",
    "nat", "k.a.", "s/d", "inf", "+inf", "-inf", "infinity", "-infinity", "\u221e", "-\u221e", "#div/0!", "#ref!",
    "#value!", "#name?", "#num!", "#null!", "#n/a", "#n/v", "#wert!", "#bezug!", "#zahl!", "#####",
}  # fmt: skip
# Currencies: codes and words, then the signs of Unicode's category Sc.
CURRENCIES = (
    "USD", "EUR", "GBP", "CHF", "JPY", "CNY", "INR", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK", "ISK", "PLN", "CZK",
    "HUF", "RON", "BGN", "BRL", "MXN", "ARS", "CLP", "ZAR", "KRW", "TRY", "RUB", "SGD", "HKD", "THB", "ILS", "AED",
    "SAR", "TWD", "IDR", "MYR", "PHP", "kr", "Kr", "z\u0142", "K\u010d", "Ft", "Rs", "Rs.", "Fr.", "lei",
)  # fmt: skip
MONEY = "$\u00a2-\u00a5\u058f\u060b\u09f2\u09f3\u0e3f\u17db\u20a0-\u20bf\ufdfc\uff04\uffe0\uffe1\uffe5\uffe6"
SIGNS = rf"(?:[A-Za-z]{{0,3}}[{MONEY}]|%|\u2030|{'|'.join(map(re.escape, CURRENCIES))})"
SHARES = ("%", "\u2030")
WRITTEN = re.compile(
    rf"^(?P<open>\()?{MINUS}?[{BLANKS}]*(?P<front>{SIGNS})?[{BLANKS}]*{MINUS}?"
    rf"(?P<core>[0-9.,](?:[0-9.,'\u2019{BLANKS}]*[0-9.,])?(?:[eE][+-]?[0-9]+)?)"
    rf"[{BLANKS}]*(?P<back>{SIGNS})?[{BLANKS}]*[-\u2212]?(?P<close>\))?$"
)
PLAIN = r"^-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
IN_DOUBT = r"^[+-]?[1-9][0-9]{0,2}\.[0-9]{3}$|^[+-]?[0-9]{1,3}$"  # 6.934: a fraction, or thousands
CODE = re.compile(r"^[+-]?0[0-9]+$")
MIXED = re.compile(r"[A-Za-z][^A-Za-z]*[0-9]|[0-9][^A-Za-z]*[A-Za-z]")
LONG_WHOLE = re.compile(r"^[+-]?[1-9][0-9]{15,}(?:\.0*)?$")
FORMATS = [(point, thousands) for thousands in ("", ",", ".", " ", "'") for point in ".," if point != thousands]


class Doubt(StrEnum):
    """Why a format is not certain."""

    NONE = ""
    POINT = "point"  # "6.934": a fraction, or thousands
    COMMA = "comma"  # "1,234": thousands, or a fraction


@dataclass(frozen=True)
class Written:
    """The forms that the numbers of a column can have.

    Attributes
    ----------
    formats : those that fit the most texts, as (decimal sign, sign between thousands), the plainest first.
    cores : rows by text without signs and minus. odd : rows by text that is no number in any form.
    signs : rows by currency or percent sign.
    """

    formats: list[tuple[str, str]]
    cores: Mapping[str, int]
    odd: Mapping[str, int]
    signs: Mapping[str, int]

    @property
    def doubt(self) -> Doubt:
        if {(".", ""), (",", ".")} <= set(self.formats):
            return Doubt.POINT
        return Doubt.COMMA if {(",", ""), (".", ",")} <= set(self.formats) else Doubt.NONE

    @property
    def certain(self) -> str:
        """The decimal sign, if the column leaves no doubt about it and has one."""
        points = {point for point, _ in self.formats}
        if len(points) != 1 or self.doubt:
            return ""
        (point,) = points
        thousands = self.formats[0][1]
        return point if any(point in core for core in self.cores) or (thousands in ".," and thousands) else ""


@dataclass(frozen=True)
class Numbers:
    """What was found: a type, or None if the column holds texts.

    Attributes
    ----------
    format : None: plain. odd : rows by text that is read as missing.
    remark : about the form, as a sentence without the column's name in front. question : likewise; must be answered.
    unread : why a column that is nearly a number stays text.
    """

    type: ColumnType | None = None
    format: NumberFormat | None = None
    odd: Mapping[str, int] = field(default_factory=dict)
    remark: str = ""
    question: str = ""
    unread: str = ""
    beyond: str = ""  # a whole number that float64 cannot hold


def written(counts: Mapping[str, int], only: str = "") -> Written | None:
    """The forms of a column's texts; None if hardly any is a number. ``only`` is a decimal sign that is known."""
    cores: dict[str, int] = {}
    odd: dict[str, int] = {}
    signs: dict[str, int] = {}
    for text, rows in counts.items():
        found = WRITTEN.match(text.strip(BLANKS))
        if not found or bool(found["open"]) != bool(found["close"]):
            odd[text] = rows
            continue
        cores[found["core"]] = cores.get(found["core"], 0) + rows
        for sign in (found["front"], found["back"]):
            if sign:
                signs[sign] = signs.get(sign, 0) + rows
    covered = {f: _covered(f, cores) for f in FORMATS if not only or f[0] == only}
    most = max(covered.values(), default=0)
    if not most:
        return None
    best = [f for f, rows in covered.items() if rows == most]
    fits = _pattern(best[0])
    for text, rows in counts.items():
        found = WRITTEN.match(text.strip(BLANKS))
        if found and text not in odd and not fits.match(found["core"]):
            odd[text] = rows
    return Written(best, cores, odd, signs)


def style_of(columns: Iterable[Written | None]) -> str:
    """The decimal sign of the columns that leave no doubt; empty if there are none, or both."""
    found = {column.certain for column in columns if column} - {""}
    return found.pop() if len(found) == 1 else ""


def plain(texts: pa.Array) -> Numbers | None:
    """The type of texts that are all plain numbers without any doubt; None: they must be looked at one by one.

    Columns of measurements have hundreds of thousands of different texts, so this does not leave Arrow.
    """
    if not len(texts) or not _all(texts, PLAIN) or _all(texts, IN_DOUBT) or _any(texts, LONG_WHOLE.pattern):
        return None
    whole = _all(texts, r"^[+-]?[0-9]+(?:\.0)?$")
    if _any(texts, CODE.pattern):
        return Numbers() if whole else None
    return Numbers(ColumnType.INTEGER if whole else ColumnType.NUMBER)


def numbers_of(name: str, counts: Mapping[str, int], found: Written | None, style: str) -> Numbers:
    """Whether a column's texts, none of them a missing value, are numbers.

    Parameters
    ----------
    counts : rows by text. found : their forms. style : the decimal sign of the other columns.
    """
    if not found:
        return Numbers()
    format, remark, question = _settled(name, found, style)
    fits = _pattern(format)
    numbers = {core: rows for core, rows in found.cores.items() if fits.match(core)}
    fractions = any(not _whole(core, format[0]) for core in numbers)
    if any(CODE.match(text) for text in counts) and not fractions:
        return Numbers()  # a leading zero makes it a code
    refused = _refused_signs(found.signs, sum(counts.values())) or _odd_refused(found, numbers, fractions, counts)
    if refused is not None:
        return Numbers(unread=refused)
    if not fractions and (beyond := next((c for c in numbers if _beyond(c, format)), "")):
        return Numbers(ColumnType.STRING, beyond=beyond)
    if question:
        return Numbers(question=question)
    kind = ColumnType.NUMBER if fractions else ColumnType.INTEGER
    plain = format == (".", "") and not found.signs and all(_castable(text) for text in counts if text not in found.odd)
    how = None if plain else NumberFormat(*format, tuple(sorted(found.signs)))
    return Numbers(kind, how, found.odd, remark if how is None else remark or _remark(how, counts))


def _all(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _any(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


def _covered(format: tuple[str, str], cores: Mapping[str, int]) -> int:
    if format[1]:
        group = re.compile(SPELLINGS.get(format[1], re.escape(format[1])))
        if not any(group.search(core) for core in cores):
            return 0
    fits = _pattern(format)
    return sum(rows for core, rows in cores.items() if fits.match(core))


def _pattern(format: tuple[str, str]) -> re.Pattern[str]:
    """Stricter than `NumberFormat`: numbers with thousands are grouped throughout, and no code begins with 0."""
    point, thousands = format
    fraction = f"(?:{re.escape(point)}[0-9]*)?"
    if thousands:
        group = SPELLINGS.get(thousands, re.escape(thousands))
        return re.compile(
            rf"^(?:[1-9][0-9]{{0,2}}(?:{group}[0-9]{{2,3}})*{group}[0-9]{{3}}|0|[1-9][0-9]{{0,2}}){fraction}$"
        )
    fixed = rf"[0-9]+{re.escape(point)}[0-9]*|{re.escape(point)}[0-9]+|[0-9]+"
    return re.compile(rf"^(?:{fixed})(?:[eE][+-]?[0-9]+)?$")


def _settled(name: str, found: Written, style: str) -> tuple[tuple[str, str], str, str]:
    """The format, with a remark if it was chosen for a reason outside of the column, or a question."""
    if not found.doubt:
        return found.formats[0], "", ""
    sign = "." if found.doubt is Doubt.POINT else ","
    other = "," if sign == "." else "."
    grouped = {core for core in found.cores if sign in core}
    example = max(grouped, key=len)
    fraction, whole = f"{example.replace(sign, '.')}", example.replace(sign, "")
    readings = f"{example!r} is {fraction} (DECIMAL='{name}:{sign}') or {whole} (DECIMAL='{name}:{other}')"
    bare = len(found.cores) > len(grouped)  # a fixed number of decimals would be written with each number
    as_fraction, as_thousands = (sign, ""), (other, sign)
    if sign == "." and not bare:
        return as_fraction, "" if style == "." else f"{example!r} is read as {fraction} ({readings}).", ""
    if sign == "." and style == "." and len(grouped) < CLEAR:
        return as_fraction, f"{example!r} is read as {fraction} ({readings}).", ""
    if style == other or (sign == "," and set(found.signs) & {"$", "\u00a3"}):
        return as_thousands, f"{example!r} is read as {whole}, as in the other columns ({readings}).", ""
    if style == sign and sign == ",":
        return as_fraction, f"{example!r} is read as {fraction}, as in the other columns ({readings}).", ""
    if sign == "." and len(grouped) < CLEAR:
        return as_fraction, f"{example!r} is read as {fraction} ({readings}).", ""
    return as_fraction, "", f"{readings}, and no other column shows which"


def _odd_refused(found: Written, numbers: Mapping[str, int], fractions: bool, counts: Mapping[str, int]) -> str | None:
    """None if the cells that are no number can be read as missing; else why the column stays text (or nothing)."""
    total, known = sum(counts.values()), sum(numbers.values())
    other = {text: rows for text, rows in found.odd.items() if text.strip(BLANKS).casefold() not in MISSING_WORDS}
    other = {text: rows for text, rows in other.items() if text not in NULLS}
    if not known or (len(numbers) < 2 and found.odd):
        return ""
    rows = sum(other.values())
    few = rows <= max(FEW_SHARE * total, min(FEW_CELLS, FEW_OF * total))
    codes = not fractions and any(
        MIXED.search(text) or (len(numbers) <= CODES and text[:1].isalpha()) for text in other
    )
    if few and not codes:
        return None
    forms = {text: n for text, n in other.items() if WRITTEN.match(text.strip(BLANKS))}
    if not few and known + sum(forms.values()) >= (1 - FEW_SHARE) * total:
        text, n = next(iter(forms.items()))
        return (
            f"writes numbers in more than one way, e.g. {text!r} ({sum(forms.values()):,} cells) and "
            f"{next(iter(numbers))!r} ({known:,}): it stays text, because one of them would be misread. Correct them."
        )
    if known < 0.5 * total or len(numbers) <= CODES:
        return ""
    shown = ", ".join(f"{text!r} ({n:,})" for text, n in sorted(other.items(), key=lambda pair: -pair[1])[:3])
    more = ", ..." if len(other) > 3 else ""
    reason = "which look like codes" if few else "too many to be read as missing"
    return (
        f"is a number but for {rows:,} of {total:,} cells, {shown}{more}, {reason}: it stays "
        f"text. Correct them, or name those that mean missing, e.g. NULLS={next(iter(other))!r}."
    )


def _refused_signs(signs: Mapping[str, int], total: int) -> str | None:
    """Numbers of several currencies, and shares of which some have no sign, cannot be compared."""
    money = {sign for sign in signs if sign not in SHARES}
    shown = ", ".join(f"{sign!r} ({rows:,})" for sign, rows in signs.items())
    if len(signs) > 1 and (len(money) > 1 or money != set(signs)):
        return f"holds numbers with different signs, {shown}: it stays text. Convert them into one unit."
    if not money and signs and sum(signs.values()) < (1 - FEW_SHARE) * total:
        return (
            f"holds numbers with and without a sign, {shown} of {total:,}: it stays text. Convert them into one unit."
        )
    return None


def _whole(core: str, point: str) -> bool:
    """As pandas writes whole numbers of a column with missing values: 3.0."""
    head, found, tail = core.partition(point)
    return "e" not in core.lower() and bool(head) and (not found or tail == "0")


def _beyond(core: str, format: tuple[str, str]) -> bool:
    digits = re.sub(f"[^0-9{re.escape(format[0])}]", "", core).partition(format[0])[0]
    return len(digits) > 15 and int(digits) > EXACT


def _castable(text: str) -> bool:
    """Whether Arrow reads the text as a number as it stands."""
    return bool(re.match(PLAIN, text.strip(" \t")))


def _remark(how: NumberFormat, counts: Mapping[str, int]) -> str:
    text = max((t for t in counts if how.value(t) is not None), key=len)
    value = how.value(text)
    return f"{text!r} is read as {value:.15g}." if value is not None else ""
