"""The reference of `model.py` matches the code and explains every field; a stale reference fails the check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from include import catalog, spec
from include.authoring import reference


def rows_of(part: str) -> dict[str, list[str]]:
    """Return the cells of a part's table by field."""
    text = reference.reference()
    section = text[text.index(f"#### {part}\n") :].split("\n#### ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}


def test_the_reference_in_the_readme_matches_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main(["--check"]) == 0, capsys.readouterr().err


def test_a_changed_meaning_makes_the_reference_stale_until_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(f"before\n{reference.BEGIN}\nyesterday\n{reference.END}\nafter\n")
    arguments = ["--file", str(copy)]
    assert reference.main([*arguments, "--check"]) == 1
    assert "make docs" in capsys.readouterr().err
    assert reference.main(arguments) == 0
    assert reference.main([*arguments, "--check"]) == 0
    written = copy.read_text()
    assert written.startswith("before\n") and written.endswith("\nafter\n") and "yesterday" not in written
    monkeypatch.setattr(spec.Gate, "__doc__", "Something else.")
    assert reference.main([*arguments, "--check"]) == 1


@pytest.mark.parametrize("text", ["no markers", reference.BEGIN, f"{reference.END}\n{reference.BEGIN}"])
def test_a_readme_without_its_markers_is_an_error_that_shows_them(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text(text)
    assert reference.main(["--file", str(tmp_path / "README.md")]) == 1
    assert reference.BEGIN in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == text


@pytest.mark.parametrize("part", reference.PARTS, ids=lambda part: part.__name__)
def test_every_field_has_its_meaning_below_it(part: type[spec.Declaration]) -> None:
    assert list(reference.meanings(part)) == list(part.model_fields)
    assert list(rows_of(part.__name__)) == list(part.model_fields)


def test_no_part_of_a_model_is_forgotten() -> None:
    declared = {c for c in vars(spec).values() if isinstance(c, type) and issubclass(c, spec.Declaration)}
    assert set(reference.PARTS) == declared - {spec.Declaration}
    assert set(reference.meanings(spec.Candidate)) == set(spec.Candidate.__dataclass_fields__)


def test_types_limits_and_defaults_are_written_in_words() -> None:
    assert rows_of("Training")["window_days"][:2] == ["whole number, 1 to 36500", "`60`"]
    assert rows_of("Training")["wait_for_data"][:2] == ["`timedelta`", "`timedelta(hours=2)`"]
    assert rows_of("Model")["priority"][0] == "whole number, 1 to 100"
    assert rows_of("Data")["columns"][:2] == ["tuple of [`Column`](#column)", "required"]
    assert rows_of("Column")["known"][:2] == ["[`Known`](#known)", "`Known.BEFORE`"]
    assert rows_of("Gate")["baseline_metric"][:2] == ["[metric](#metrics) or `None`", "`None`"]
    assert reference.in_words(int | Literal["all"] | None) == 'whole number or `"all"` or `None`'


def test_a_type_without_a_description_is_an_error() -> None:
    with pytest.raises(TypeError, match="complex"):
        reference.in_words(complex)
    with pytest.raises(TypeError, match="MultipleOf"):
        reference.in_words(Annotated[int, Field(multiple_of=2)])


def test_signatures_columns_and_metrics_match_the_code() -> None:
    text = reference.reference()
    assert all(wanted.removeprefix("def ") in text for wanted in catalog.SIGNATURES.values())
    assert "| timestamp | `datetime64[us]` array, in UTC | `NaT` |" in text
    assert all(f"| `{metric}` |" in text for metric in (m for known in spec.METRICS.values() for m in known))
