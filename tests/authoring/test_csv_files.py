"""CSV files as other programs write them: encodings, and records that are not lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from include.errors import PerennialError
from tests.authoring.csv_tables import (
    A_DAY,
    N,
    fetched,
    found,
    refusal,
    said,
    table,
    text_of,
)

pytestmark = pytest.mark.usefixtures("models")


# Encodings

CITIES = {
    "de": ["Köln", "München", "Zürich", "Straße"],
    "fr": ["Orléans", "été", "Mâcon", "« Nîmes »", "l’Haÿ"],
    "es": ["Córdoba", "Peñíscola", "¿Málaga?", "Cádiz"],
    "ja": ["東京", "大阪", "横浜", "ラーメン"],
    "zh": ["北京", "上海", "广州", "深圳"],
    "tw": ["臺北", "高雄", "新竹", "嘉義"],
    "ko": ["서울", "부산", "대구", "인천"],
    "ru": ["Москва", "Казань", "Томск"],
    "pl": ["Łódź", "Kraków", "Gdańsk", "Poznań"],
    "el": ["Αθήνα", "Πάτρα", "Βόλος"],
}


def of_cities(language: str) -> pd.DataFrame:
    return table(city=[CITIES[language][n % len(CITIES[language])] for n in range(N)])


@pytest.mark.parametrize(
    ("language", "encoding", "wanted"),
    [
        ("de", "utf-8", "utf-8"),
        ("ja", "utf-8-sig", "utf-8"),
        ("de", "cp1252", "cp1252"),
        ("fr", "cp1252", "cp1252"),
        ("es", "latin_1", "cp1252"),
        ("zh", "utf-16", "utf-16"),
        ("de", "utf-16-le", "utf-16-le"),
        ("ru", "utf-16-be", "utf-16-be"),
        ("ja", "utf-32", "utf-32"),
        ("ja", "iso2022_jp", "iso2022_jp"),
    ],
)
def test_an_encoding_that_is_certain_is_used(tmp_path: Path, language: str, encoding: str, wanted: str) -> None:
    findings = found(tmp_path, text_of(of_cities(language)).encode(encoding))
    assert findings.source.encoding == wanted  # type: ignore[attr-defined]
    assert set(findings.rows["city"]) == set(CITIES[language])
    assert f"encoding {wanted}" in said(findings)
    assert set(fetched(findings, tmp_path)["city"]) == set(CITIES[language])


@pytest.mark.parametrize(
    ("language", "encoding", "name"),
    [
        ("ja", "shift_jis", "cp932"),
        ("ja", "euc_jp", "euc_jp"),
        ("zh", "gbk", "gb18030"),
        ("tw", "big5", "big5"),
        ("ko", "euc_kr", "cp949"),
        ("de", "cp850", "cp850"),
        ("ru", "cp1251", "cp1251"),
        ("ru", "koi8_r", "koi8_r"),
        ("pl", "cp1250", "cp1250"),
        ("pl", "iso8859_2", "iso8859_2"),
        ("el", "cp1253", "cp1253"),
    ],
)
def test_another_encoding_is_a_question_with_readings(tmp_path: Path, language: str, encoding: str, name: str) -> None:
    content = text_of(of_cities(language)).encode(encoding)
    message = refusal(tmp_path, content)
    assert "is not UTF-8" in message and f"{CITIES[language][0]!r} with ENCODING={name}" in message
    findings = found(tmp_path, content, encoding=name)
    assert set(fetched(findings, tmp_path)["city"]) == set(CITIES[language])


def damaged(line: int, byte: bytes) -> bytes:
    lines = text_of(of_cities("de").assign(note="fine")).encode().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b"fine", b"na" + byte + b"f")
    return b"".join(lines)


@pytest.mark.parametrize("byte", [b"\xef", b"\x80", b"\xff", b"\xc3", b"\xed\xa0\x80"])
@pytest.mark.parametrize("line", [2, 700, N + 1])
def test_a_stray_byte_does_not_change_the_encoding_of_a_file(tmp_path: Path, line: int, byte: bytes) -> None:
    message = refusal(tmp_path, damaged(line, byte))
    assert f"but for 1 line with bytes that are not: line {line}: " in message
    assert f"na\\x{byte[0]:02x}" in message.replace("\\\\", "\\") and "ENCODING=utf-8:replace" in message
    findings = found(tmp_path, damaged(line, byte), encoding="utf-8:replace")
    assert f"1 line has bytes that do not follow it, read as \N{REPLACEMENT CHARACTER}: line {line}" in said(findings)
    assert set(findings.rows["city"]) == set(CITIES["de"])


def test_a_stray_byte_that_comes_later_is_named_by_the_source(tmp_path: Path) -> None:
    findings = found(tmp_path, of_cities("de"))
    with open(tmp_path / "trips.csv", "ab") as file:
        file.write(b"t9,2024-06-01 10:00:00,1,no,K\xf6ln\n")
    with pytest.raises(PerennialError, match=rf"line {N + 2}: .*K.xf6ln.*encoding='utf-8:replace'"):
        fetched(findings, tmp_path)


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [
        ("utf8x", "ENCODING=utf8x is not an encoding; did you mean 'utf-8'?"),
        ("rot13", "is not an encoding"),
        ("base64", "is not an encoding"),
        ("ascii", "is not ascii in"),
        ("utf-8:ignore", "only replace is known"),
        ("utf-16", "is not utf-16 in 1 lines"),
    ],
)
def test_an_encoding_that_does_not_fit_is_refused(tmp_path: Path, encoding: str, reason: str) -> None:
    assert reason in refusal(tmp_path, text_of(of_cities("de")), encoding=encoding)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    assert "it is not a text file" in refusal(tmp_path, b"a,b\0\0c" + bytes(range(256)) * 40)


# Records that are not lines


def with_header(*names: str, end: str = "\n", **how: Any) -> str:
    frame = table()
    body = frame.to_csv(index=False, header=False, lineterminator=end, **how)
    return how.get("sep", ",").join(names) + end + body


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (with_header("trip", "at", '"km\n(by road)"', "late"), ["km\n(by road)"]),
        (with_header('"trip\nid"', "at", "km", "late"), ["trip\nid"]),
        (with_header('"trip\n\nid\n"', '"at"', '"km\nroad"', "late"), ["trip\n\nid", "km\nroad"]),
        (with_header('"trip\r\nid"', "at", '"k""m"', "late", end="\r\n"), ["trip\r\nid", 'k"m']),
        (with_header('"trip, or\nid"', "at", "km", "late"), ["trip, or\nid"]),
        (with_header("trip", "at", "km", "late", end="\r"), ["km"]),
        ("\n\n" + with_header("trip", "at", "km", "late", end="\n\n"), ["km"]),
        ("sep=;\n" + with_header("trip", "at", "km", "late", sep=";"), ["km"]),
        ("sep=,\r\n" + with_header("trip", "at", "km", "late"), ["km"]),
        ('"sep=|"\n' + with_header("trip", "at", "km", "late", sep="|"), ["km"]),
        ("SEP=\t\n" + with_header("trip", "at", "km", "late", sep="\t"), ["km"]),
        ("\ufeffsep=^\n" + with_header("trip", "at", '"km\n^"', "late", sep="^"), ["km\n^"]),
    ],
)
def test_a_record_can_have_several_lines(tmp_path: Path, content: str, names: list[str]) -> None:
    findings = found(tmp_path, content)
    assert len(findings.rows) == N and {*names} <= {c.original for c in findings.columns}
    rows = fetched(findings, tmp_path)
    assert len(rows) == A_DAY and rows.iloc[:, 2].tolist() == table()["km"].tail(A_DAY).tolist()


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\x1c", "\x1d", "\x1e"])
def test_signs_that_only_some_programs_take_for_line_ends(tmp_path: Path, sign: str) -> None:
    notes = [f"first{sign}second" if n % 5 == 0 else "none of it" for n in range(N)]
    findings = found(tmp_path, table(note=notes))
    assert set(findings.rows["note"]) == set(notes) == set(fetched(findings, tmp_path)["note"])


@pytest.mark.parametrize(
    ("cells", "escape"),
    [
        (['"27\\" wide, black"', '"cable 3\\" long"', "plain"], "\\"),
        (['"say \\"hi\\""', '"\\"a\\", b"', "plain"], "\\"),
        (['"a \\\\\\" b"', "plain", "plain"], "\\"),
        (['"C:\\dir\\"', "C:\\dir", "plain"], ""),
        (['"27"" wide, black"', '3" pipe', "plain"], ""),
        (["\\N", "plain", '"a\\b"'], ""),
    ],
)
def test_quotes_escaped_by_a_backslash(tmp_path: Path, cells: list[str], escape: str) -> None:
    wanted = {
        '"27\\" wide, black"': '27" wide, black',
        '"cable 3\\" long"': 'cable 3" long',
        '"say \\"hi\\""': 'say "hi"',
        '"\\"a\\", b"': '"a", b',
        '"a \\\\\\" b"': 'a \\" b',
        '"C:\\dir\\"': "C:\\dir\\",
        '"27"" wide, black"': '27" wide, black',
        '"a\\b"': "a\\b",
        "\\N": None,
    }
    frame = table()
    lines = [f"{t},{a},{k},{cells[n % 3]},{y}" for n, (t, a, k, y) in enumerate(frame.itertuples(index=False))]
    findings = found(tmp_path, "trip,at,km,item,late\n" + "\n".join(lines))
    assert findings.source.escape == escape  # type: ignore[attr-defined]
    rows = fetched(findings, tmp_path)
    assert len(rows) == A_DAY
    assert rows["item"].astype(object).where(rows["item"].notna(), None).head(3).tolist() == [
        wanted.get(c, c) for c in cells
    ]


def test_a_quote_that_is_never_closed_is_refused(tmp_path: Path) -> None:
    lines = text_of(table(note="a")).splitlines()
    lines[500] = lines[500][:-1] + '"open'
    assert "has a quote that is never closed, in the column 'note'" in refusal(tmp_path, "\n".join(lines))
