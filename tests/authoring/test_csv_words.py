"""Words that mean missing, ids beyond 2^53, and labels that differ by spelling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from include.features import columns_for

import include.models
from include import catalog
from include.authoring.findings import Role
from include.authoring.new import infer, new_model
from include.errors import PerennialError
from include.linting.folder import lint
from include.spec import ColumnType, Task
from tests.authoring.csv_tables import (
    A_DAY,
    ENGLISH,
    TODAY,
    VALUES,
    N,
    fetched,
    found,
    refusal,
    request_for,
    said,
    table,
    text_of,
)

pytestmark = pytest.mark.usefixtures("models")


# Words that mean missing


def serving(name: str, texts: list[str]) -> list[str]:
    """The feature of rows as a caller sends them."""
    model = catalog.load("trips")
    inputs = [(c.name, str(c.type)) for c in model.data.inputs]
    rows = [{"at": "2024-05-31T10:00:00Z", name: text} for text in texts]
    return [str(value) for value in catalog.module("trips", "features").build(columns_for(inputs, rows))[name]]


def training(rows: pd.DataFrame, name: str) -> list[str]:
    model = catalog.load("trips")
    inputs = [(c.name, str(c.type)) for c in model.data.inputs]
    return [str(value) for value in catalog.module("trips", "features").build(columns_for(inputs, rows))[name]]


@pytest.mark.parametrize("word", ["NA", "None", "-"])
@pytest.mark.parametrize("name", ["country", "late"])
def test_a_frequent_word_of_a_category_is_a_question(tmp_path: Path, name: str, word: str) -> None:
    values = [word if n % 4 == 0 else "ZA" if n % 2 else "BW" for n in range(N)]
    frame = table(**{name: values})
    message = refusal(tmp_path, frame)
    assert f"{name} holds {word!r} in 300 of 1,200 rows (25.0%)" in message and f"NULLS='{word}'" in message
    as_value = found(tmp_path, frame, nulls="")
    assert set(as_value.rows[name].dropna()) == {word, "ZA", "BW"} and not as_value.rows[name].isna().any()
    as_missing = found(tmp_path, frame, nulls=f"{name}:{word}")
    assert int(as_missing.rows[name].isna().sum()) == 300
    if name == "late":
        assert as_value.classes == tuple(sorted([word, "ZA", "BW"])) and as_missing.classes is None


@pytest.mark.parametrize("nulls", ["", "NA", "country:NA,-"])
def test_training_and_serving_read_a_word_alike(tmp_path: Path, nulls: str) -> None:
    texts = ["NA", "ZA", " ZA", "?", "-", "other"]
    findings = found(tmp_path, table(country=[texts[n % 6] for n in range(N)]), nulls=nulls)
    rows = fetched(findings, tmp_path)
    seen = training(rows, "country")
    assert seen[:6] == serving("country", texts)
    assert (seen[0] == "") == ("NA" in nulls) and (seen[4] == "") == ("-" in nulls) and seen[3] == "?"


@pytest.mark.parametrize("word", ["?", "NaN", "nan", "null", "NULL", "#N/A", "N/A", "n/a", "\\N", "NA"])
def test_the_usual_words_are_missing_and_stated(tmp_path: Path, word: str) -> None:
    """NA is in less than 1 % of the rows here."""
    values = [word if n % 150 == 3 else "ab"[n % 2] for n in range(N)]
    findings = found(tmp_path, table(grade=values))
    assert f"grade: {word!r} in 8 of 1,200 rows means missing; NULLS='' if it is a value." in said(findings)
    rows = fetched(findings, tmp_path, "2024-05-02")
    assert training(rows, "grade") == serving("grade", values[10 * A_DAY : 11 * A_DAY])


def test_words_in_numbers_and_times_are_missing_without_a_question(tmp_path: Path) -> None:
    number = ["NA" if n % 3 == 0 else text for n, text in enumerate(ENGLISH)]
    time = ["None" if n % 3 == 0 else f"2024-01-0{1 + n % 9}" for n in range(N)]
    flag = ["-" if n % 3 == 0 else ("true", "false")[n % 2] for n in range(N)]
    findings = found(tmp_path, table(number=number, time=time, flag=flag), nulls="")
    kinds = [findings.column(name).type for name in ("number", "time", "flag")]
    assert kinds == [ColumnType.NUMBER, ColumnType.DATE, ColumnType.BOOLEAN]
    assert fetched(findings, tmp_path)[["number", "time", "flag"]].isna().sum().tolist() == [10, 10, 10]


@pytest.mark.parametrize("kind", ["str", "category"])
def test_a_parquet_file_with_words_for_nothing(tmp_path: Path, kind: str) -> None:
    frame = table(country=pd.Series(["NA" if n % 4 == 0 else "ZA" for n in range(N)], dtype=kind))
    path = tmp_path / "trips.parquet"
    frame.to_parquet(path)
    with pytest.raises(PerennialError, match="country holds 'NA' in 300 of 1,200 rows"):
        infer(request_for(path), TODAY)
    findings = infer(request_for(path, nulls="NA"), TODAY)
    assert int(findings.rows["country"].isna().sum()) == 300
    rows = fetched(findings, tmp_path)
    assert training(rows, "country")[:4] == serving("country", ["ZA", "ZA", "NA", "ZA"])


def test_a_word_that_is_nowhere_is_stated(tmp_path: Path) -> None:
    assert "NULLS names 'nix', which is in no cell." in said(found(tmp_path, table(), nulls="nix"))


# Whole numbers beyond 2^53

BIG = 1_582_218_195_625_938_945


@pytest.mark.parametrize("format", ["csv", "parquet"])
@pytest.mark.parametrize(
    "values",
    [
        [BIG + 7919 * n for n in range(N)],
        [BIG // 10 + 13 * n for n in range(N)],
        [-BIG - n for n in range(N)],
        [18_000_000_000_000_000_000 + n for n in range(N)],
        [n if n else 2**53 + 1 for n in range(N)],
        [BIG + n if n % 3 else None for n in range(N)],
        [BIG + n % 5 for n in range(N)],
    ],
)
def test_whole_numbers_beyond_2_to_53_are_exact_texts(tmp_path: Path, format: str, values: list[int | None]) -> None:
    unsigned = max(v for v in values if v is not None) > 2**63
    ids = pd.array(values, dtype="UInt64" if unsigned else "Int64")
    frame = table(parent=ids)
    if format == "csv":
        findings = found(tmp_path, frame)
    else:
        frame.to_parquet(tmp_path / "trips.parquet")
        findings = infer(request_for(tmp_path / "trips.parquet"), TODAY)
    column = findings.column("parent")
    assert (column.type, column.role) == (ColumnType.STRING, Role.UNUSED) and "beyond 2^53" in column.why
    rows = fetched(findings, tmp_path)
    exact = [None if v is None else str(v) for v in values[-A_DAY:]]
    assert rows["parent"].astype(object).where(rows["parent"].notna(), None).tolist() == exact


def test_an_exact_id_can_be_the_key(tmp_path: Path) -> None:
    frame = table(trip=[BIG + 7919 * n for n in range(N)])
    for changed in ({}, {"key": ("trip",)}):
        findings = found(tmp_path, frame, **changed)
        assert findings.key == ("trip",) and findings.column("trip").type is ColumnType.STRING
    assert fetched(findings, tmp_path)["trip"].tolist() == [str(v) for v in frame["trip"].tail(A_DAY)]


def test_ids_that_a_program_wrote_with_a_fraction(tmp_path: Path) -> None:
    findings = found(tmp_path, table(parent=[f"{BIG + n}.0" for n in range(N)]))
    assert findings.column("parent").type is ColumnType.STRING


# Labels


@pytest.mark.parametrize(
    ("spellings", "usual"),
    [
        ({">50K": ">50K.", "<=50K": "<=50K."}, {">50K", "<=50K"}),
        ({"Yes": "Yes ", "No": " No"}, {"Yes", "No"}),
        ({"Yes": "YES", "No": "no"}, {"Yes", "No"}),
        ({"on time": "on_time", "late": "late"}, {"on time", "late"}),
        ({"on-time": "On Time", "late": "Late!"}, {"on-time", "late"}),
        ({"café": "cafe\u0301", "bar": "bar\u00a0"}, {"café", "bar"}),
    ],
)
def test_labels_that_differ_by_spelling(tmp_path: Path, spellings: dict[str, str], usual: set[str]) -> None:
    first, second = spellings
    base = np.where(table()["late"] == "yes", first, second)
    labels = [spellings[label] if n % 3 == 0 else label for n, label in enumerate(base)]
    findings = found(tmp_path, table(late=labels))
    assert findings.classes is not None and "labels that differ only in their spelling" in said(findings)
    count = sum(label == first for label in labels)
    assert f"{first!r} ({count:,})" in said(findings) or first == spellings[first] and "late" in said(findings)
    findings = found(tmp_path, table(late=labels), merge_labels=True)
    assert findings.classes is None and set(findings.rows["late"]) == usual
    assert set(fetched(findings, tmp_path)["late"]) == usual


@pytest.mark.parametrize("labels", [["A", "A-", "A+"], ["+1", "-1", "x"], [">50K", "<=50K", "n"], ["1a", "1b", "1c"]])
def test_different_labels_are_not_alike(tmp_path: Path, labels: list[str]) -> None:
    findings = found(tmp_path, table(late=[labels[n % 3] for n in range(N)]))
    assert "differ only in their spelling" not in said(findings)


def test_a_rare_spelling_is_named_as_such(tmp_path: Path) -> None:
    labels = table()["late"].to_list()
    labels[5] = "Yes"
    message = refusal(tmp_path, table(late=labels))
    assert "'Yes' (1 rows)" in message and "MERGE_LABELS=yes" in message
    assert found(tmp_path, table(late=labels), merge_labels=True).task is Task.CLASSIFICATION


def test_the_summary_says_what_was_read(tmp_path: Path) -> None:
    totals = [f"{v:,.2f}" for v in VALUES]
    totals[3] = "#REF!"
    path = tmp_path / "trips.csv"
    path.write_text(text_of(table(total=totals)))
    told = new_model(request_for(path, into=tmp_path / "models"), TODAY)
    assert "is read as" in told and "but for 1 cells: row 5 '#REF!'" in told and "Empty cells mean missing" in told


def test_a_folder_with_everything_that_was_decided_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(include.models, "__path__", [*include.models.__path__, str(tmp_path / "models")])
    totals = [f"${v:,.2f}" for v in VALUES]
    totals[3] = "#REF!"
    frame = table(total=totals, grade=["?" if n % 50 == 3 else "ab"[n % 2] for n in range(N)])
    frame["late"] = [label.upper() if n % 9 == 0 else label for n, label in enumerate(frame["late"])]
    path = tmp_path / "trips.csv"
    path.write_text(text_of(frame, sep=";"))
    new_model(request_for(path, into=tmp_path / "models", merge_labels=True), TODAY)
    folder = tmp_path / "models" / "trips"
    assert [str(problem) for problem in lint("trips", folder, fit=False)] == []
    source = (folder / "source.py").read_text()
    labels = '{"late": {"NO": "no", "YES": "yes"}}'
    for declared in ('"total": ("#REF!",)', '"grade": ("?",)', 'thousands=","', '"$"', labels):
        assert declared in source, source
    assert 'MISSING: dict[str, tuple[str, ...]] = {"grade": ("?",)}' in (folder / "features.py").read_text()
