"""The lint against mistakes made automatically: each is found at its line, and the suggestion there repairs it.

A seeded sample of each kind is judged; `--full` takes a larger one, `PERENNIAL_ALL_MUTANTS=1` all (about 5,000).
"""

from __future__ import annotations

import collections
import os
import random
from pathlib import Path

import pytest

from include.linting.folder import lint
from include.settings import PROJECT
from tests.linting.judge import Verdict, copy, judge
from tests.linting.mutants import Mutant
from tests.linting.mutations import mutants

VALID = [PROJECT / "tests" / "models_for_tests" / "toy", *sorted((PROJECT / "include" / "models").glob("*/"))]
VALID = [folder for folder in VALID if (folder / "model.py").is_file()]
OF_A_KIND = {"toy": 3}
OTHERS_OF_A_KIND = 1
OF_A_KIND_IN_FULL = {"toy": 10}
OTHERS_OF_A_KIND_IN_FULL = 2


def chosen(valid: Path, full: bool) -> list[Mutant]:
    """Return a sample that has every kind and is the same in every run."""
    every = mutants(valid)
    if os.environ.get("PERENNIAL_ALL_MUTANTS"):
        return every
    kinds: dict[str, list[Mutant]] = collections.defaultdict(list)
    for mutant in every:
        kinds[mutant.kind].append(mutant)
    most = OF_A_KIND.get(valid.name, OTHERS_OF_A_KIND)
    if full:
        most = OF_A_KIND_IN_FULL.get(valid.name, OTHERS_OF_A_KIND_IN_FULL)
    return [m for of in kinds.values() for m in random.Random(0).sample(of, min(len(of), most))]


@pytest.mark.parametrize("valid", VALID, ids=lambda folder: folder.name)
def test_a_valid_folder_has_no_mistake(valid: Path) -> None:
    assert [str(problem) for problem in lint(valid.name, valid)] == []


@pytest.mark.parametrize("valid", VALID, ids=lambda folder: folder.name)
def test_every_mistake_is_found_at_its_line_and_its_suggestion_repairs_it(
    valid: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    verdicts = [judge(mutant, valid, tmp_path) for mutant in chosen(valid, pytestconfig.getoption("--full"))]
    table: dict[str, list[Verdict]] = collections.defaultdict(list)
    for verdict in verdicts:
        table[verdict.mutant.kind].append(verdict)
    for kind, of in table.items():
        counts = [sum(getattr(v, what) for v in of) for what in ("found", "placed", "repaired")]
        print(f"{valid.name}: {kind}: {len(of)} made, {counts[0]} found, {counts[1]} placed, {counts[2]} repaired")
    assert len(table) >= 15, "too few kinds of mistakes"
    wrong = [str(v) for v in verdicts if not v.right]
    assert not wrong, f"{len(wrong)} of {len(verdicts)}:\n" + "\n".join(wrong[:20])


def test_a_mistake_that_the_lint_cannot_see_is_judged_as_not_found(tmp_path: Path) -> None:
    """The judge itself is tested, with a mistake that no rule can know."""
    valid = VALID[0]
    text = (valid / "source.py").read_text()
    at = text.index("SHOPS = {")
    mutant = Mutant("unknowable", "source", text.count("\n", 0, at) + 1, "SHOPS", at, at, "UNUSED = 1\n")
    assert not judge(mutant, valid, tmp_path).found


def test_all_mistakes_of_a_folder_are_found_in_one_run(tmp_path: Path) -> None:
    """Twelve mistakes in four files at once, each on its own line."""
    valid = VALID[0]
    by_line: dict[tuple[str, int], Mutant] = {}
    for kind in ("keyword", "enum member", "column", "choice"):
        for mutant in random.Random(1).sample([m for m in mutants(valid) if m.kind == kind], 12):
            by_line.setdefault((mutant.file, mutant.line), mutant)
    several = list(by_line.values())[:12]
    folder = copy(valid, tmp_path / valid.name)
    for mutant in sorted(several, key=lambda m: -m.start):
        mutant.made(folder)
    reported = lint(valid.name, folder, fit=False)
    places = {(p.place.file.stem, p.place.line) for p in reported}
    places |= {(end.place.file.stem, end.place.line) for p in reported for end in p.also}
    missed = [str(m) for m in several if (m.file, m.line) not in places]
    assert not missed, "\n".join([*missed, "found:", *map(str, reported)])
