"""The reference of a version: the one in its bundle, or one that is made of what an older bundle was made of."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from include import catalog
from include.cards import plots
from include.data.lake import Lake
from include.errors import DataError, IntegrityError
from include.monitoring import references
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.retraining import in_process
from include.retraining.in_process import Outcome
from include.spec import Model
from include.statistics.reference import FILE, LAYOUT, Reference
from include.training import out_of_fold, reference
from tests import homes
from tests.release.killing import killed_at
from tests.services import shared
from tests.training import toy_days
from tests.training.toy_days import AS_OF

Night = tuple[homes.Home, Outcome]


@pytest.fixture(scope="module")
def toy() -> Model:
    return catalog.load("toy")


@pytest.fixture(scope="module")
def night(pytestconfig: pytest.Config, toy: Model, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A night whose challenger was packaged."""
    lake = homes.filled(toy, tmp_path_factory.mktemp("template"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "draw", lambda *_: {})
        home = homes.of_its_own(shared(pytestconfig), lake, tmp_path_factory.mktemp("night"), toy, patch)
        return home, in_process.in_one_process(toy, AS_OF, {"candidates": ["baseline", "logistic"]})


@pytest.fixture
def packaged(night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """The outcome of `night`, in a copy of its home."""
    home, outcome = night
    home.copy(tmp_path).enter(monkeypatch)
    return outcome


def in_bundle(model: Model, outcome: Outcome) -> Reference:
    bundle = BundleStore.default().open(model.name, outcome.packaged.digest)
    return Reference.of(bundle.json(FILE))


def with_file(model: Model, outcome: Outcome, data: bytes | None) -> Path:
    """Give the version a bundle with this reference, or without one; return where its reference is kept."""
    bundle = BundleStore.default().open(model.name, outcome.packaged.digest)
    files = {name: bundle.read(name) for name in bundle.sums if name != FILE} | ({FILE: data} if data else {})
    digest = BundleStore.default().write(model.name, files)
    Ledger.default().set_bundle(model.name, outcome.packaged.version, digest)
    return Lake.of(model).root / references.FOLDER / f"{digest}.json"


def test_a_packaged_version_has_one_in_its_bundle(packaged: Outcome, toy: Model) -> None:
    found = references.of_version(toy, packaged.packaged.version)
    assert found == in_bundle(toy, packaged) and found.layout == LAYOUT
    assert found.snapshot == packaged.plan.snapshot.digest and found.days[-1] == AS_OF
    assert found.importance.by_input["x"] == max(one or 0 for one in found.importance.by_input.values())
    assert not (Lake.of(toy).root / references.FOLDER).exists(), "there is nothing to keep"
    day = toy_days.day(toy, "2026-05-14").assign(partition="2026-05-14")
    profile = references.profile_day(toy, found, day)
    assert profile.rows == len(day) and set(profile.features) == {c.name for c in toy.data.inputs} - {"empty"}


def test_that_of_an_old_bundle_is_made_once_and_is_the_same(
    packaged: Outcome, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = with_file(toy, packaged, None)
    found = references.of_version(toy, packaged.packaged.version)
    assert found == in_bundle(toy, packaged), "same snapshot, twin and code"
    assert Reference.of(json.loads(kept.read_bytes())) == found
    monkeypatch.setattr(reference, "make", lambda *_: pytest.fail("it was made again"))
    Path(Lake.of(toy).root / packaged.plan.snapshot.path).unlink()
    assert references.of_version(toy, packaged.packaged.version) == found


def test_one_of_another_layout_is_made_again(packaged: Outcome, toy: Model) -> None:
    older = in_bundle(toy, packaged).as_dict() | {"layout": LAYOUT + 1, "days": "another meaning"}
    kept = with_file(toy, packaged, json.dumps(older).encode())
    assert references.of_version(toy, packaged.packaged.version) == in_bundle(toy, packaged)
    assert kept.is_file()


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_it_is_kept_it_is_made_again(packaged: Outcome, toy: Model, when: str) -> None:
    kept = with_file(toy, packaged, None)
    version = packaged.packaged.version
    assert killed_at("include.files:os.replace", when, lambda: references.of_version(toy, version))
    assert kept.exists() == (when == "after")
    assert references.of_version(toy, version) == in_bundle(toy, packaged)
    kept.write_bytes(kept.read_bytes()[:100])  # damaged
    assert references.of_version(toy, version) == in_bundle(toy, packaged)
    assert Reference.of(json.loads(kept.read_bytes())) and os.listdir(kept.parent).count(kept.name) == 1


def test_without_its_training_data_there_is_a_reason(packaged: Outcome, toy: Model) -> None:
    kept = with_file(toy, packaged, None)
    Path(Lake.of(toy).root / packaged.plan.snapshot.path).unlink()
    with pytest.raises(DataError, match=r"version \d+ of toy has no reference .* snapshot .* are no longer there"):
        references.of_version(toy, packaged.packaged.version)
    assert not kept.exists()


def test_without_its_twin_an_old_version_is_monitored_by_its_inputs(packaged: Outcome, toy: Model) -> None:
    with_file(toy, packaged, None)
    (BundleStore.default().root / "toy" / "twins" / f"{packaged.selection.twin.digest}.skops").unlink()
    found = references.of_version(toy, packaged.packaged.version)
    assert found.features == in_bundle(toy, packaged).features
    assert found.scores == () and "missing from the bundle store" in (found.importance.lack or "")


def test_an_old_version_is_scored_with_its_own_features(
    packaged: Outcome, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_file(toy, packaged, None)
    monkeypatch.setattr(catalog.module("toy", "features"), "build", lambda columns: {"another": columns["x"]})
    assert references.of_version(toy, packaged.packaged.version) == in_bundle(toy, packaged)


def test_a_version_without_a_bundle_has_no_reference(packaged: Outcome, toy: Model) -> None:
    with pytest.raises(DataError, match="version 77 of toy has no reference: the ledger does not know it"):
        references.of_version(toy, 77)


def test_a_damaged_reference_in_a_bundle_is_an_error(packaged: Outcome, toy: Model) -> None:
    with_file(toy, packaged, b'{"layout": %d, "days": 1}' % LAYOUT)
    with pytest.raises(IntegrityError, match="cannot be read as Reference"):
        references.of_version(toy, packaged.packaged.version)
    with_file(toy, packaged, b"{")
    with pytest.raises(IntegrityError, match="is not JSON"):
        references.of_version(toy, packaged.packaged.version)


def test_an_old_version_with_enough_days_gets_scores(
    packaged: Outcome, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The toy's windows have 33 days, so that a night of it does not pay for scores; here they are enough."""
    monkeypatch.setattr(reference, "ENOUGH_DAYS", 30)
    kept = with_file(toy, packaged, None)
    found = references.of_version(toy, packaged.packaged.version)
    assert [one.name for one in found.scores] == ["score"] and found.scores_lack is None
    assert found.scores[0].values == found.rows and out_of_fold.BLOCKS == 3
    assert kept.is_file()
