"""The encoding of a CSV file: certain, or plausible and shown with an example, or a question with its readings."""

from __future__ import annotations

import codecs
import io
import itertools
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from include.errors import ConfigurationError
from include.sources import CsvFile
from include.sources.csv_problems import undecodable
from include.sources.csv_text import codec_of, open_input
from include.spelling import did_you_mean

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
WITHOUT_MARK = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
SEVEN_BITS = (("iso2022_jp", re.compile(rb"\x1b\$[@B]|\x1b\([JI]")), ("iso2022_kr", re.compile(rb"\x1b\$\)C")))
WESTERN = "cp1252"
# Tried next to what charset-normalizer proposes: its guess about a few short words is often a rare relative.
LEGACY = (
    "cp932",
    "gb18030",
    "big5",
    "cp949",
    "euc_jp",
    "cp1251",
    "koi8_r",
    "cp866",
    "cp1250",
    "iso8859_2",
    "cp850",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp1257",
    "mac_roman",
    "cp1252",
)
NAMES = {
    "cp932": "Shift-JIS",
    "shift_jis_2004": "Shift-JIS",
    "euc_jp": "EUC-JP",
    "euc_jis_2004": "EUC-JP",
    "gb18030": "GBK",
    "big5": "Big5",
    "big5hkscs": "Big5",
    "cp949": "EUC-KR",
    "cp1250": "Central European",
    "iso8859_2": "ISO Latin 2",
    "cp1251": "Cyrillic",
    "koi8_r": "KOI8-R",
    "cp866": "DOS Cyrillic",
    "cp850": "DOS",
    "cp437": "DOS",
    "cp1253": "Greek",
    "cp1255": "Hebrew",
    "cp1256": "Arabic",
    "cp1254": "Turkish",
    "cp1257": "Baltic",
    "mac_roman": "old Mac",
    "cp1252": "Western European",
}  # fmt: skip
MOST_READINGS = 5
SAMPLE = 1 << 16  # bytes of lines outside of ASCII that are looked at
MISTAKES = 0.5  # as many lines that are not UTF-8 as lines that are: then it is another encoding
JOINING = frozenset("\u2019\u2018\u2013\u2014\u00b7\u2026\u00a0")
STICKING = JOINING | frozenset(
    "\u201a\u201c\u201d\u201e\u2122\u00a1\u00a7\u00a9\u00ab\u00ae\u00b0\u00b2\u00b3\u00ba\u00aa\u00bb\u00bf\u00b5\u20ac"
)
REPLACED = "\N{REPLACEMENT CHARACTER}"
LETTERS = 0.7  # of the signs outside of ASCII
ICELANDIC = frozenset("\u00d0\u00dd\u00de\u00f0\u00fd\u00fe")
WORD = re.compile(r"[^\W\d_]+")
# Signs of cp1252 that texts have next to letters; those that join two letters; those that may stand at one.
JOINING = frozenset("\u2019\u2018\u2013\u2014\u00b7\u2026\u00a0")
STICKING = JOINING | frozenset(
    "\u201a\u201c\u201d\u201e\u2122\u00a1\u00a7\u00a9\u00ab\u00ae\u00b0\u00b2\u00b3\u00ba\u00aa\u00bb\u00bf\u00b5\u20ac"
)
TYPOGRAPHY = STICKING | frozenset("\u2022\u00b1\u00b4\u00bc\u00bd\u00be\u00d7\u00a3")
REPLACED = "\N{REPLACEMENT CHARACTER}"
LETTERS = 0.7  # of the signs outside of ASCII
ICELANDIC = frozenset("\u00d0\u00dd\u00de\u00f0\u00fd\u00fe")


def encoding_of(path: Path, asked: str = "") -> str:
    """The encoding to read a CSV file with; reads to the end, because the first umlaut can come late.

    Raises
    ------
    ConfigurationError : ENCODING is not one, or does not fit; single bytes of a UTF-8 file are damaged; or another
        encoding fits in several ways.
    """
    if asked:
        return _as_asked(path, asked)
    with open_input(path) as file:
        head = file.read(SAMPLE)
    for mark, name in MARKS:
        if head.startswith(mark):
            return _certain(path, name)
    if b"\0" in head:
        return _without_mark(path)
    found = undecodable(path, "utf-8")
    if not found.lines:
        return next((name for name, sign in SEVEN_BITS if sign.search(head)), "utf-8")
    if found.valid and found.lines <= max(1, MISTAKES * found.valid):
        raise ConfigurationError(
            f"{path} is UTF-8, but for {found.lines:,} {'line' if found.lines == 1 else 'lines'} with bytes that are "
            f"not: {found}. Correct them, or type ENCODING=utf-8:replace to read each such byte as {REPLACED}."
        )
    return _legacy(path)


def told_encoding(file: CsvFile) -> str:
    """The separator and the encoding, with an example or with what was replaced, for the summary."""
    codec, errors = codec_of(file.encoding)
    told = f"Separator {file.separator!r}, encoding {codec}"
    if file.escape:
        told += ', quotes inside a cell written \\"'
    if errors == "replace":
        found = undecodable(file.path, codec)
        if found.lines:
            lines = "1 line has" if found.lines == 1 else f"{found.lines:,} lines have"
            return f"{told}; {lines} bytes that do not follow it, read as {REPLACED}: {found}."
    if codec in ("utf-8", "utf-8-sig") or not (words := _words(_sample(file.path, codec), codec)):
        return f"{told}."
    return f"{told}, e.g. {', '.join(map(repr, words[:3]))} (ENCODING= if that is not what the file says)."


def _as_asked(path: Path, asked: str) -> str:
    codec, errors = codec_of(asked)
    try:
        known = codecs.lookup(codec)
        "".encode(codec)  # rot13 and base64 are codecs as well
    except LookupError:
        known_names = sorted({*NAMES, "utf-8", "utf-16", "latin_1", "cp1252"})
        near = did_you_mean(codec, known_names)
        raise ConfigurationError(f"ENCODING={asked} is not an encoding{near}") from None
    if errors not in ("strict", "replace"):
        raise ConfigurationError(f"ENCODING={asked}: behind the colon only replace is known, e.g. {known.name}:replace")
    return asked if errors == "replace" else _certain(path, known.name if known.name != "utf-8-sig" else "utf-8")


def _certain(path: Path, encoding: str) -> str:
    found = undecodable(path, encoding)
    if found.lines:
        raise ConfigurationError(
            f"{path} is not {encoding} in {found.lines:,} lines: {found}. Correct them, or type "
            f"ENCODING={encoding}:replace to read such bytes as {REPLACED}."
        )
    return encoding


def _without_mark(path: Path) -> str:
    """UTF-16 or UTF-32 without a mark: in texts with digits and separators, zeros stand at every second place."""
    with open_input(path) as file:
        head = file.read(SAMPLE)
    size = len(head) // 4 * 4
    shares = {name: _ascii_share(head[:size], name) for name in WITHOUT_MARK}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] < 0.1 or undecodable(path, best).lines:
        raise ConfigurationError(f"{path} holds zero bytes and is neither UTF-16 nor UTF-32: it is not a text file.")
    return best


def _ascii_share(data: bytes, encoding: str) -> float:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    return sum(" " <= sign <= "~" or sign in "\r\n\t" for sign in text) / max(len(text), 1)


def _legacy(path: Path) -> str:
    lines = _sample(path, "latin_1")
    if _is_western(lines) and not undecodable(path, WESTERN).lines:
        return WESTERN
    readings: list[tuple[str, str]] = []
    for encoding in _proposed(lines):
        words = _words(lines, encoding)
        if words and words[0] not in {shown for _, shown in readings} and not undecodable(path, encoding).lines:
            readings.append((encoding, words[0]))
    if not readings:
        raise ConfigurationError(
            f"{path} is not UTF-8, and no other encoding fits: {undecodable(path, 'utf-8')}. Save it as UTF-8, or name "
            "its encoding, e.g. ENCODING=cp1252:replace."
        )
    shown = "; ".join(
        f"{word!r} with ENCODING={encoding}{f' ({NAMES[encoding]})' if encoding in NAMES else ''}"
        for encoding, word in readings[:MOST_READINGS]
    )
    raise ConfigurationError(
        f"{path} is not UTF-8, and its bytes do not say what they are. A cell reads {shown}. Type the one that is "
        "right, or save the file as UTF-8."
    )


def _proposed(lines: list[bytes]) -> Iterator[str]:
    """Encodings in the order of their probability, as charset-normalizer sees it; then the usual ones."""
    from charset_normalizer import from_bytes

    given: set[str] = set()
    outside = b"\n".join(lines)
    likely = [match.encoding for match in from_bytes(outside)]
    for found in [*(name for name in likely if name in LEGACY), *LEGACY, *likely]:
        if found not in given and _plausible(_words(lines, found)) and _letters(lines, found) > LETTERS:
            given.add(found)
            yield found


def _plausible(words: list[str]) -> bool:
    """Whether most words look like words: letters of one script, and no capital behind a small letter."""
    good = sum(_one_script(word) and not _camel(word) for word in words)
    return bool(words) and good >= 0.8 * len(words)


def _one_script(word: str) -> bool:
    scripts = {unicodedata.name(letter, "?").split()[0] for letter in word}
    return len(scripts) == 1 or scripts <= {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"}


def _camel(word: str) -> bool:
    return any(before.islower() and after.isupper() for before, after in itertools.pairwise(word))


def _letters(lines: list[bytes], encoding: str) -> float:
    """The share of letters among the signs outside of ASCII."""
    outside = [sign for line in lines for sign in line.decode(encoding, "replace") if sign > "~"]
    return sum(sign.isalpha() for sign in outside) / max(len(outside), 1)


def _is_western(lines: list[bytes]) -> bool:
    """Whether the lines read like a Western European language: accents inside of ASCII words, in their case."""
    good = bad = 0
    for line in lines:
        try:
            text = line.decode(WESTERN)
        except UnicodeDecodeError:
            return False
        for word in WORD.findall(text):
            if word.isascii():
                continue
            fits = word.islower() or word.isupper() or word[1:].islower()
            fits &= len(word) == 1 or any(letter.isascii() for letter in word)
            fits &= not ICELANDIC & set(word)  # in nearly all files, the bytes of Turkish letters
            good, bad = good + fits, bad + (not fits)
        for position, sign in enumerate(text):
            if sign > "~" and not sign.isalpha():
                fits = sign in TYPOGRAPHY and not _inside(text, position)
                good, bad = good + fits, bad + (not fits)
    return good > 0 and bad <= 0.05 * (good + bad)


def _inside(text: str, position: int) -> bool:
    """Whether a sign that is no letter stands where few do: at or between letters, or behind another one."""
    before, after = text[max(position - 1, 0) : position], text[position + 1 : position + 2]
    if before > "~" and not before.isalpha() and "\u00a0" not in before + text[position]:
        return True
    if text[position] in STICKING:
        return before.isalpha() and after.isalpha() and text[position] not in JOINING
    return before.isalpha() or after.isalpha()


def _sample(path: Path, encoding: str) -> list[bytes]:
    """The first lines that are not ASCII. (Of UTF-16 and UTF-32 nothing: their lines are no bytes.)"""
    found: list[bytes] = []
    if encoding.startswith(("utf-16", "utf-32")):
        return found
    with open_input(path) as file:
        for line in io.BufferedReader(file):
            if not line.isascii() or b"\x1b" in line:
                found.append(line)
                if sum(map(len, found[-64:])) > SAMPLE or len(found) >= 2_000:
                    break
    return found


def _words(lines: list[bytes], encoding: str) -> list[str]:
    """Different words outside of ASCII, in the order of the file; none if a line cannot be decoded."""
    found: dict[str, None] = {}
    for line in lines:
        try:
            text = line.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            return []
        found |= dict.fromkeys(word for word in WORD.findall(text) if not word.isascii())
    return list(found)
