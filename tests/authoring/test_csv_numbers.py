"""Numbers as people write them, in CSV files: each column by all of its texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from include.authoring.findings import Role
from include.spec import ColumnType
from tests.authoring.csv_tables import (
    A_DAY,
    ENGLISH,
    GERMAN,
    VALUES,
    N,
    fetched,
    found,
    refusal,
    said,
    table,
    text_of,
)

pytestmark = pytest.mark.usefixtures("models")


# Numbers


def swapped(text: str) -> str:
    return text.translate(str.maketrans(",.", ".,"))


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda v: f"{v:.2f}", ""),
        (lambda v: f"{v:,.2f}", "is read as"),
        (lambda v: swapped(f"{v:,.2f}"), "is read as"),
        (lambda v: swapped(f"{v:.2f}"), "is read as"),
        (lambda v: f"{v:,.2f}".replace(",", " "), "is read as"),
        (lambda v: swapped(f"{v:,.2f}").replace(".", "\u202f"), "is read as"),
        (lambda v: f"{v:,.2f}".replace(",", "'"), "is read as"),
        (lambda v: f"${v:.2f}", "is read as"),
        (lambda v: f"${v:,.2f}", "is read as"),
        (lambda v: f"{swapped(f'{v:,.2f}')} €", "is read as"),
        (lambda v: f"EUR {v:.2f}", "is read as"),
        (lambda v: f"R$ {swapped(f'{v:,.2f}')}", "is read as"),
        (lambda v: f"{v:.2f}%", "is read as"),
        (lambda v: f"{v:.2f}e0", ""),
        (lambda v: f" {v:.2f} ", ""),
        (lambda v: f"+{v:.2f}", "is read as"),
    ],
)
def test_numbers_as_people_write_them(tmp_path: Path, write: Callable[[float], str], told: str) -> None:
    findings = found(tmp_path, table(amount=[write(v) for v in VALUES]))
    assert findings.column("amount").type is ColumnType.NUMBER and findings.rows["amount"].tolist() == VALUES.tolist()
    assert ("amount: " in said(findings)) == bool(told) and told in said(findings)
    assert fetched(findings, tmp_path)["amount"].tolist() == VALUES[-A_DAY:].tolist()


@pytest.mark.parametrize(
    "write",
    [
        lambda v: f"({-v:,.2f})" if v < 0 else f"{v:,.2f}",
        lambda v: f"{abs(v):.2f}-" if v < 0 else f"{abs(v):.2f}",
        lambda v: f"-${-v:.2f}" if v < 0 else f"${v:.2f}",
        lambda v: f"$-{-v:.2f}" if v < 0 else f"${v:.2f}",
        lambda v: f"{v:.2f}".replace("-", "\u2212"),
        lambda v: f"(${-v:,.2f})" if v < 0 else f"${v:,.2f}",
    ],
)
def test_negative_numbers_as_people_write_them(tmp_path: Path, write: Callable[[float], str]) -> None:
    values = (VALUES - 2800).round(2)
    findings = found(tmp_path, table(amount=[write(v) for v in values]))
    assert findings.rows["amount"].tolist() == values.tolist()
    assert fetched(findings, tmp_path)["amount"].tolist() == values[-A_DAY:].tolist()


INDIAN = ["1,23,456.50", "12,34,567.25", "99,999.75", "1,00,00,000.00"]


def test_thousands_as_in_india(tmp_path: Path) -> None:
    findings = found(tmp_path, table(amount=[INDIAN[n % 4] for n in range(N)]))
    assert set(findings.rows["amount"]) == {123456.5, 1234567.25, 99999.75, 10000000.0}


@pytest.mark.parametrize(
    ("columns", "wanted", "decimal"),
    [
        ({"kg": "{:.3f}", "size": GERMAN}, 1.0, ""),  # a point with three digits next to a decimal comma
        ({"kg": "{:.3f}", "size": ENGLISH}, 1.0, ""),
        ({"kg": "{:.3f}"}, 1.0, ""),
        ({"kg": "{:.3f}"}, 1000.0, ","),
        ({"kg": "{:.3f}"}, 1000.0, "kg:,"),
        ({"kg": "{:.3f},", "size": GERMAN}, 1.0, "comma"),  # likewise with a comma
        ({"kg": "{:.3f},", "size": ENGLISH}, 1000.0, "comma"),
        ({"kg": "{:.3f},"}, 1.0, "comma kg:,"),
        ({"kg": "{:.3f},"}, 1000.0, "comma kg:."),
        ({"kg": "{:.3f},"}, None, "comma"),
    ],
)
def test_the_decimal_sign_is_that_of_the_column(
    tmp_path: Path, columns: dict[str, Any], wanted: float | None, decimal: str
) -> None:
    kg = np.random.default_rng(2).uniform(1, 900, N).round(3)
    texts = [f"{v:.3f}" for v in kg]
    comma = decimal.startswith("comma")
    texts = [t.replace(".", ",") for t in texts] if comma else texts
    decimal = decimal.removeprefix("comma").strip()
    frame = table(**{**columns, "kg": texts}).drop(columns="km")  # which would show a decimal point
    content = text_of(frame, sep=";")
    if wanted is None:
        message = refusal(tmp_path, content)
        assert "The decimal sign is not clear: kg: " in message and "DECIMAL='kg:,'" in message
        return
    findings = found(tmp_path, content, decimal=decimal)
    np.testing.assert_allclose(findings.rows["kg"], kg * wanted)
    if "size" in columns:
        assert findings.column("size").type is ColumnType.NUMBER and findings.rows["size"].max() < 10
    rows = fetched(findings, tmp_path)
    np.testing.assert_allclose(rows["kg"].astype(float), kg[-A_DAY:] * wanted)


def test_a_point_that_is_read_against_the_other_columns_is_stated(tmp_path: Path) -> None:
    kg = [f"{v:.3f}" for v in np.random.default_rng(2).uniform(1, 9, N)]
    told = said(found(tmp_path, text_of(table(kg=kg, size=GERMAN), sep=";")))
    assert "is read as" in told and "DECIMAL='kg:,'" in told


def test_thousands_of_a_german_file(tmp_path: Path) -> None:
    people = np.random.default_rng(2).integers(1, 900_000, N)
    people[::50] %= 1000  # a fixed number of decimals would be written with these, too
    frame = table(people=[swapped(f"{p:,}") for p in people], size=GERMAN).drop(columns="km")
    findings = found(tmp_path, text_of(frame, sep=";"))
    assert findings.rows["people"].tolist() == people.tolist()
    assert findings.column("people").type is ColumnType.INTEGER and "as in the other columns" in said(findings)


@pytest.mark.parametrize("decimal", ["x", "kg,", "kg:;", "weight:,"])
def test_a_decimal_sign_that_is_none_is_refused(tmp_path: Path, decimal: str) -> None:
    assert "DECIMAL=" in refusal(tmp_path, table(), decimal=decimal)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda n: f"${n}.5" if n % 2 else f"€{n}.5", "holds numbers with different signs, '€' (600), '$' (600)"),
        (lambda n: f"{n % 90}.5" if n % 3 else f"{n % 90},25", "writes numbers in more than one way, e.g. '0,25' (400"),
        (lambda n: f"{n % 90}.5%" if n % 3 else f"0.{n % 90}", "holds numbers with and without a sign, '%' (800)"),
    ],
)
def test_numbers_of_different_units_stay_text(tmp_path: Path, write: Callable[[int], str], reason: str) -> None:
    findings = found(tmp_path, table(price=[write(n) for n in range(N)]))
    assert findings.column("price").type is ColumnType.STRING and f"price {reason}" in said(findings)


@pytest.mark.parametrize(
    "word",
    [
        "#DIV/0!",
        "inf",
        "n.a.",
        "missing",
        "<0.01",
        "N.A.",
        "nil",
        "--",
        ".",
        "1.2.3",
        "12:30",
        "sold out",
        "1,5,2",
        "∞",
    ],
)
def test_a_few_odd_cells_do_not_make_a_number_a_text(tmp_path: Path, word: str) -> None:
    totals = [f"{v:.2f}" for v in VALUES]
    totals[600] = totals[N - 3] = word
    findings = found(tmp_path, table(total=totals))
    column = findings.column("total")
    assert column.type is ColumnType.NUMBER and column.role is Role.FEATURE
    assert f"total is a number but for 2 cells: row 602 {word!r}, row {N - 1:,} {word!r}. They are missing." in said(
        findings
    )
    assert int(findings.rows["total"].isna().sum()) == 2
    rows = fetched(findings, tmp_path)
    assert np.isnan(rows["total"].iloc[-3]) and rows["total"].notna().sum() == A_DAY - 1


def test_a_word_that_is_not_declared_is_not_read_as_missing(tmp_path: Path) -> None:
    """What new-model did not see is not missing: the value is passed on, so that validation names it."""
    totals = [f"{v:,.2f}" for v in VALUES]
    findings = found(tmp_path, table(total=totals, plain=ENGLISH))
    with open(tmp_path / "trips.csv", "a") as file:
        file.write('t9,2024-05-31 23:59:00,1,no,"1.234,50",1.234.5\n')
    rows = fetched(findings, tmp_path)
    assert rows["total"].iloc[-1] == "1.234,50" and rows["plain"].iloc[-1] == "1.234.5"


def test_a_word_for_nothing_can_be_frequent_and_another_word_cannot(tmp_path: Path) -> None:
    usual = [f"{v:.2f}" if n % 5 else "n.a." for n, v in enumerate(VALUES)]
    other = [f"{v:.2f}" if n % 5 else "sold out" for n, v in enumerate(VALUES)]
    findings = found(tmp_path, table(usual=usual, other=other))
    assert findings.column("usual").type is ColumnType.NUMBER and findings.column("other").type is ColumnType.STRING
    assert "usual is a number but for 240 cells: row 2 'n.a.', row 7" in said(findings)
    assert "other is a number but for 240 of 1,200 cells, 'sold out' (240)" in said(findings)
    assert "NULLS='sold out'" in said(findings)
    findings = found(tmp_path, table(usual=usual, other=other), nulls="sold out")
    assert findings.column("other").type is ColumnType.NUMBER


@pytest.mark.parametrize(
    "codes",
    [
        [f"{n % 700:05d}" for n in range(N)],  # a leading zero
        [f"{10_000 + n % 700}" if n % 300 else "SW1A" for n in range(N)],
        [f"{n % 12}" if n % 300 else "X" for n in range(N)],
        [f"{100 + n % 500}" if n % 400 else "00107" for n in range(N)],
    ],
)
def test_codes_stay_texts(tmp_path: Path, codes: list[str]) -> None:
    findings = found(tmp_path, table(code=codes))
    assert findings.column("code").type is ColumnType.STRING
    assert set(findings.rows["code"]) == set(codes)


@pytest.mark.parametrize("blank", [" ", "  ", "\t", "\u00a0", ""])
def test_blank_cells_are_missing(tmp_path: Path, blank: str) -> None:
    totals = [blank if n % 300 == 7 else f"{v:.2f}" for n, v in enumerate(VALUES)]
    shops = [blank if n % 300 == 7 else "ab"[n % 2] for n in range(N)]
    findings = found(tmp_path, table(total=totals, shop=shops))
    assert findings.column("total").type is ColumnType.NUMBER
    assert int(findings.rows["total"].isna().sum()) == int(findings.rows["shop"].isna().sum()) == 4
    for name in ("total", "shop"):
        assert (f"{name}: only blanks in 4 of 1,200 rows" in said(findings)) == bool(blank)
