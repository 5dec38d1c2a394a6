"""What the texts of a source mean: numbers, missing values, or just texts; with what was decided as sentences.

The columns are looked at together, because one shows how another writes its numbers, and so that all questions to a
person come at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from include.authoring.findings import Findings, Request
from include.authoring.missing import Nulls, missing_words, nulls_of
from include.authoring.numbers import EXACT, Numbers, Written, numbers_of, plain, style_of, written
from include.errors import ConfigurationError, DataError
from include.sources import CsvFile, NumberFormat, Source
from include.sources.missing import NULLS, without
from include.spec import ColumnType
from include.spelling import did_you_mean

FEW_LOOKED_AT = 2_000  # texts of a column that show whether any number is among them
ODD_SHOWN = 3


@dataclass(frozen=True)
class TextColumn:
    """What was decided about a column of texts.

    Attributes
    ----------
    array : the texts without those that mean missing.
    missing : words that `Reading.missing` must name. numbers : how `Reading.numbers` must name it; None: plainly.
    type : INTEGER or NUMBER; None: the column is not a number.
    exact : why it holds whole numbers that must stay text; empty: it does not.
    """

    array: pa.Array
    type: ColumnType | None = None
    numbers: NumberFormat | None = None
    missing: tuple[str, ...] = ()
    exact: str = ""


@dataclass
class Texts:
    """All columns of texts of a source, by the name in the source."""

    request: Request
    source: Source
    said: list[tuple[str, str]] = field(default_factory=list)
    odd: dict[str, Mapping[str, int]] = field(default_factory=dict)
    frequent: list[str] = field(default_factory=list)
    contested: list[str] = field(default_factory=list)
    _arrays: dict[str, pa.Array] = field(default_factory=dict)
    _counts: dict[str, dict[str, int]] = field(default_factory=dict)
    _numbers: dict[str, Numbers] = field(default_factory=dict)
    _nulls: Nulls | None = None

    @classmethod
    def of(cls, request: Request, source: Source, raw: pa.Table) -> Texts:
        """Look at every column of texts.

        Raises
        ------
        ConfigurationError : NULLS or DECIMAL name a column that does not exist, or a sign that is none.
        """
        found = cls(request, source)
        for name in raw.column_names:
            array = as_text(raw.column(name))
            if array is not None and name != request.time:
                found._arrays[name] = array
                found._counts[name] = _counts(array)
        if request.nulls is not None:
            found._nulls = nulls_of(request.nulls, raw.column_names)
        signs = decimals_of(request.decimal, raw.column_names)
        if isinstance(source, CsvFile):
            found._settle_numbers(signs)
        return found

    def column(self, original: str, array: pa.Array) -> TextColumn:
        """A column without the texts that are never a number or a time; its type, if it is a number."""
        if original not in self._arrays:
            return TextColumn(array)
        asked = self._nulls.of(original) if self._nulls else ()
        words = {*NULLS, *asked}
        found = self._numbers.get(original, Numbers())
        if found.beyond:
            gone = tuple(sorted(words & self._counts[original].keys()))
            return TextColumn(without(self._arrays[original], words), missing=gone, exact=_exact(found.beyond))
        present = {word for word in asked if word in self._counts[original]} - {*NULLS}
        if found.type is None:
            return TextColumn(without(self._arrays[original], words), missing=tuple(sorted(present)))
        if blank := self._counts[original].get("", 0):
            self.said.append(("Data", f"{original}: only blanks in {blank:,} of {len(array):,} rows means missing."))
        if found.odd:
            self.odd[original] = found.odd
        if found.remark:
            self.said.append(("Data", f"{original}: {found.remark}"))
        array = without(self._arrays[original], {*words, *found.odd})
        return TextColumn(array, found.type, found.format, tuple(sorted({*present, *found.odd})))

    def as_texts(self, original: str) -> TextColumn:
        """The same for a column that turned out to hold texts."""
        counts = self._counts[original]
        found = missing_words(original, counts, self._nulls)
        rows = sum(counts.values())
        for word, n in found.questions.items():
            self.frequent.append(f"{original} holds {word!r} in {n:,} of {rows:,} rows ({n / rows:.1%})")
        for word, n in found.words.items():
            named = f"{word!r}" if word else "only blanks"
            hint = "" if self._nulls or not word else "; NULLS='' if it is a value"
            self.said.append(("Data", f"{original}: {named} in {n:,} of {rows:,} rows means missing{hint}."))
        if unread := self._numbers.get(original, Numbers()).unread:
            self.said.append(("Look at", f"{original} {unread}"))
        words = tuple(sorted(found.words))
        return TextColumn(without(self._arrays[original], words), missing=words)

    def ask(self) -> None:
        """DataError if something has two readings and the data do not show which is right."""
        asked = []
        if self.frequent:
            words = ",".join(sorted({line.split("'")[1] for line in self.frequent}))
            asked.append(
                f"{'; '.join(self.frequent)}: is that a value, or does it mean missing? Type NULLS='' if only empty "
                f"cells are missing, or name the words that mean missing: NULLS='{words}', or NULLS='column:NA' in one "
                "column only"
            )
        if self.contested:
            asked.append(f"The decimal sign is not clear: {'; '.join(self.contested)}")
        if asked:
            raise DataError(". ".join(asked) + ".")

    def say(self, found: Findings) -> None:
        """The decisions, for the summary."""
        for heading, sentence in self.said:
            found.say(heading, sentence)
        if isinstance(self.source, CsvFile) and self.odd:
            places = self.source.rows_with({name: list(odd) for name, odd in self.odd.items()})
            for name, odd in self.odd.items():
                cells = sum(odd.values())
                shown = ", ".join(f"row {row:,} {text!r}" for row, text in places[name])
                more = ", ..." if cells > len(places[name]) else ""
                words = f" ({len(odd)} different texts)" if len(odd) > ODD_SHOWN else ""
                found.say(
                    "Data", f"{name} is a number but for {cells:,} cells{words}: {shown}{more}. They are missing."
                )
        for word in self._nulls.everywhere if self._nulls else ():
            if word and not any(word in counts for counts in self._counts.values()):
                found.say("Look at", f"NULLS names {word!r}, which is in no cell.")

    def _settle_numbers(self, signs: Mapping[str, str]) -> None:
        forms: dict[str, Written | None] = {}
        counts: dict[str, dict[str, int]] = {}
        points = ""
        for name in self._arrays:
            words = {*NULLS, *(self._nulls.of(name) if self._nulls else ())}
            counts[name] = {text: rows for text, rows in self._counts[name].items() if text not in words}
            asked = signs.get(name, signs.get("", ""))
            done = plain(pa.array(list(counts[name]), pa.string())) if asked in ("", ".") else None
            if done is not None:
                self._numbers[name] = done
                points = "." if done.type is ColumnType.NUMBER else points
            elif _any_number(counts[name]):
                forms[name] = written(counts[name], asked)
        style = style_of([*forms.values(), *([_POINT] if points else [])])
        for name, form in forms.items():
            found = numbers_of(name, counts[name], form, style)
            self._numbers[name] = found
            if found.question:
                self.contested.append(f"{name}: {found.question}")


_POINT = Written([(".", "")], {"1.5": 1}, {}, {})


def as_text(values: pa.ChunkedArray | pa.Array) -> pa.Array | None:
    """The values as one array of texts; None if they are not texts."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    array = array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_string_view(kind):
        return array.cast(pa.string())
    return array if pa.types.is_string(kind) or pa.types.is_large_string(kind) else None


def beyond_exact(array: pa.Array) -> str:
    """Why whole numbers must be kept as text: one of them is beyond 2^53. Empty if none is, or for other types."""
    kind = array.type
    whole = pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale <= 0)
    if not whole or array.null_count == len(array):
        return ""
    bounds = pc.min_max(array).as_py()
    far = max(bounds.values(), key=abs)
    return _exact(str(far)) if abs(far) > EXACT else ""


def decimals_of(text: str, names: list[str]) -> dict[str, str]:
    """Decimal sign by column from ``,`` (every column, as ``""``) or ``price:,;weight:.``."""
    found: dict[str, str] = {}
    for part in (part.strip() for part in text.split(";") if part.strip()):
        name, sign = part[:-1].removesuffix(":").strip(), part[-1]
        if sign not in (".", ",") or (len(part) > 1 and part[-2:-1] != ":"):
            raise ConfigurationError(f"DECIMAL={part!r}: use . or , for all columns, or DECIMAL='price:,;weight:.'")
        if name and name not in names:
            raise ConfigurationError(f"DECIMAL={part!r}: there is no column {name!r}{did_you_mean(name, names)}")
        found[name] = sign
    return found


def _counts(array: pa.Array) -> dict[str, int]:
    """Rows by text, without blanks around it."""
    counted = pc.value_counts(pc.utf8_trim_whitespace(array.drop_null()))
    return dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True))


def _any_number(counts: Mapping[str, int]) -> bool:
    some = list(counts)[:FEW_LOOKED_AT]
    return any(text[:1].isdigit() or text[-1:].isdigit() or text[-2:-1].isdigit() for text in some)


def _exact(example: str) -> str:
    return (
        f"holds whole numbers beyond 2^53, e.g. {example}, which features cannot hold exactly: kept as text, digit by "
        "digit, and never a feature"
    )
