"""Probes: when the monitor fits one, on which days, and that a repeated or interrupted fit ends in the same files."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from include import catalog, files
from include.data.lake import Lake
from include.errors import ConfigurationError, DataError, IntegrityError
from include.monitoring import probes
from include.monitoring.probes import Probes
from include.partitions import earlier, keys_between
from include.registry.rows import VersionRow
from include.spec import Model
from include.training.recipes import Recipe
from tests.training import toy_days

KEY = "2026-05-14"  # its paired days are 1 to 14 May
LAST = "2026-04-30"
RECIPE = {"candidate": "logistic", "window_days": 20, "seed": 3, "iterations": None}


def champion(twin_last: str = "2026-04-20", **recipe: Any) -> VersionRow:
    return VersionRow(
        model="toy", version=1, run_id="first", candidate="logistic", recipe=RECIPE | recipe, twin="t",
        twin_first="2026-04-01", twin_last=twin_last, metrics={}, bundle="b", state="champion",
        created_at=datetime(2026, 5, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.fixture(scope="module")
def filled(toy: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = Lake(toy, tmp_path_factory.mktemp("lake") / "toy")
    toy_days.fill(lake, toy)
    return lake.root


@pytest.fixture
def kept(toy: Model, filled: Path, tmp_path: Path) -> Probes:
    shutil.copytree(filled, tmp_path / "toy")
    return Probes(toy, Lake(toy, tmp_path / "toy"))


def files_of(kept: Probes) -> set[str]:
    return {path.name for path in kept.folder.iterdir()}


def test_a_model_that_is_retrained_every_night_gets_no_probe(kept: Probes) -> None:
    assert kept.newest(champion(LAST), KEY) is None
    assert kept.newest(champion(earlier(LAST, 6)), KEY) is None
    assert kept.newest(champion(), KEY, learned_to=earlier(LAST, 6)) is None, "a night's twin is new enough"
    assert not kept.folder.exists()


def test_a_probe_is_the_champions_recipe_up_to_the_day_before_the_paired_days(kept: Probes, toy: Model) -> None:
    found = kept.newest(champion(earlier(LAST, 7)), KEY)
    assert found is not None
    assert (found.as_of, found.first, found.last) == (KEY, "2026-04-11", LAST)
    assert found.recipe.as_dict() == RECIPE and found.rows > toy.training.min_rows
    assert files_of(kept) == {f"{KEY}.json", f"{KEY}.skops"}, "and nothing else: no pickle, no version"
    rows = toy_days.days(toy, "2026-05-01", KEY)
    rows = rows[rows["late"].notna()]
    scores = kept.scores(found, rows)
    assert scores.shape == (len(rows),) and 0 < scores.min() < scores.max() < 1
    again = kept.make(found.recipe, KEY)
    np.testing.assert_allclose(kept.scores(again, rows), scores)


def test_a_probe_never_scores_a_day_that_it_has_seen(kept: Probes, toy: Model) -> None:
    found = kept.newest(champion(), KEY)
    assert found is not None
    with pytest.raises(IntegrityError, match="fitted up to 2026-04-30, and has seen"):
        kept.scores(found, toy_days.days(toy, LAST, KEY))


def test_the_same_probe_is_used_until_it_is_old(kept: Probes) -> None:
    first = kept.newest(champion("2026-04-13"), "2026-05-06")
    assert first is not None and first.last == "2026-04-22"
    for key in keys_between("2026-05-06", "2026-05-12"):
        assert kept.newest(champion("2026-04-13"), key) == first, key
    second = kept.newest(champion("2026-04-13"), "2026-05-13")
    assert second is not None and second.as_of == "2026-05-13"
    assert kept.newest(champion("2026-04-13"), "2026-05-12") == first, "a back-fill never uses a newer probe"
    assert kept.newest(champion(second.last), KEY) is None, "a champion that is as new has no use for it"
    assert [probe.as_of for probe in kept.kept()] == ["2026-05-13", "2026-05-06"]


def test_another_recipe_or_other_code_needs_another_probe(kept: Probes, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kept.newest(champion(), KEY)
    other = kept.newest(champion(seed=4), KEY)
    assert first is not None and other is not None and other.recipe.seed == 4
    assert kept.kept() == [other], "one for each day"
    monkeypatch.setattr(catalog, "digest", lambda name: "other code")
    newer = kept.newest(champion(seed=4), KEY)
    assert newer is not None and newer.code == "other code"
    monkeypatch.undo()
    with pytest.raises(IntegrityError, match="other code"):
        kept.scores(newer, toy_days.days(kept.model, "2026-05-01", KEY))


class Killed(BaseException):
    """Ends a process at a write."""


@pytest.mark.parametrize("write", [1, 2])
def test_a_monitor_that_is_killed_between_two_writes_ends_in_the_same_files(
    kept: Probes, write: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.newest(champion(seed=4), KEY)  # its files are replaced
    done: list[Path] = []

    def killed(path: Path, data: bytes) -> None:
        done.append(path)
        if len(done) == write:
            raise Killed
        original(path, data)

    original = files.write
    monkeypatch.setattr(files, "write", killed)
    with pytest.raises(Killed):
        kept.newest(champion(), KEY)
    monkeypatch.undo()
    found = kept.newest(champion(), KEY)
    assert found is not None and found.recipe.seed == 3
    assert files_of(kept) == {f"{KEY}.json", f"{KEY}.skops"}
    assert kept.kept() == [found] and files.sha256((kept.folder / f"{KEY}.skops").read_bytes()) == found.digest
    assert kept.pipeline(found) is not None


def test_a_damaged_probe_is_made_again(kept: Probes) -> None:
    found = kept.newest(champion(), KEY)
    assert found is not None
    (kept.folder / f"{KEY}.skops").write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match="do not match its record"):
        kept.pipeline(found)
    again = kept.newest(champion(), KEY)
    assert again is not None and kept.pipeline(again) is not None
    (kept.folder / f"{KEY}.json").write_text("{")
    assert kept.kept() == []
    assert kept.newest(champion(), KEY) is not None


def test_without_enough_days_an_earlier_probe_is_used_or_the_reason_is_given(toy: Model, tmp_path: Path) -> None:
    lake = Lake(toy, tmp_path / "toy")
    keys = [key for key in keys_between("2026-04-01", KEY) if not "2026-04-24" <= key <= LAST]
    toy_days.publish_days(lake, toy, {key: toy_days.day(toy, key) for key in keys})
    kept = Probes(toy, lake)
    with pytest.raises(DataError, match=r"7 of the 20 days up to 2026-04-30 .* from 2026-04-24 to 2026-04-30"):
        kept.newest(champion("2026-04-13"), KEY)
    early = kept.newest(champion("2026-04-13"), "2026-05-07")
    assert early is not None and early.last == "2026-04-23"
    assert kept.newest(champion("2026-04-13"), KEY) == early


def test_a_candidate_that_is_gone_is_named(kept: Probes) -> None:
    with pytest.raises(ConfigurationError, match="'logistics' is no longer declared.*did you mean 'logistic'"):
        kept.newest(champion(candidate="logistics"), KEY)


def test_old_probes_are_removed_and_a_back_fill_keeps_what_it_makes(
    kept: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "KEPT", 2)
    recipe = Recipe.of(RECIPE)
    for key in ("2026-05-10", "2026-05-11", "2026-05-12"):
        kept.make(recipe, key)
    assert files_of(kept) == {f"2026-05-{day}.{kind}" for day in (11, 12) for kind in ("json", "skops")}
    kept.make(recipe, "2026-05-09")
    assert [probe.as_of for probe in kept.kept()] == ["2026-05-12", "2026-05-11", "2026-05-09"]
