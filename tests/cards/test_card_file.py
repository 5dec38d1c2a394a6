"""`make card`: which card it finds, and its error message if there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from include.cards import card_file
from include.errors import ConfigurationError, IntegrityError
from include.registry.bundles import BundleStore
from include.registry.records import ReleaseRecord
from include.settings import PROJECT


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    """Three packaged versions of one model (the second serves), and one version of another model."""
    store = BundleStore(tmp_path / "bundles")
    for model, version in (("toy", 1), ("toy", 2), ("toy", 5), ("parcels", 1)):
        files = {"card.html": f"{model} {version}".encode(), "manifest.json": json.dumps({"version": version}).encode()}
        digest = store.write(model, files)
        if (model, version) == ("toy", 2):
            (store.root / model / ".tmp-half").mkdir()
            (store.root / model / ".tmp-half" / "manifest.json").write_text('{"version": 4}')
            store.write_release(ReleaseRecord(model, version, digest, 1, "2026-05-03T06:00:00+00:00", "run"))
    return store


def test_the_card_of_the_champion_or_of_a_version(store: BundleStore) -> None:
    assert card_file.find(store, "toy").read_text() == "toy 2"
    for version in (1, 2, "5"):
        assert card_file.find(store, "toy", version).read_text() == f"toy {version}"
    assert card_file.find(store, "parcels", 1).read_text() == "parcels 1"


@pytest.mark.parametrize(
    ("model", "version", "message"),
    [
        (
            "toy",
            4,
            r"toy has no packaged version 4; the nearest is 5. Packaged: 5, 2, 1; .* rejected or held has no card",
        ),
        ("toy", "two", r"version 'two' is not a number"),
        ("toys", None, r"no model 'toys'; did you mean 'toy'\?"),
        ("parcels", None, r"no version of parcels serves. Packaged: 1; e.g. make card MODEL=parcels VERSION=1"),
        (
            "bike_demand",
            None,
            r"bike_demand has no card yet \(parcels, toy have one\).*make night MODEL=bike_demand",
        ),
        (None, None, r"which model\? Name one of: parcels, toy; e.g. make card MODEL=parcels"),
    ],
)
def test_a_missing_card_is_an_error_that_names_the_nearest_one(
    store: BundleStore, model: str | None, version: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        card_file.find(store, model, version)


def test_a_damaged_bundle_is_not_shown(store: BundleStore) -> None:
    path = card_file.find(store, "toy")
    path.chmod(0o644)
    path.write_text("toy 2, improved")
    with pytest.raises(IntegrityError, match=r"card.html changed"):
        card_file.find(store, "toy")


def test_the_command_prints_the_path_and_nothing_else(store: BundleStore, tmp_path: Path) -> None:
    environment: Mapping[str, str] = {**os.environ, "PERENNIAL_HOME": str(tmp_path)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "include.cards", *arguments]
        return subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)

    done = run("--model", "toy")
    assert done.returncode == 0 and Path(done.stdout.strip()).read_text() == "toy 2", done.stderr
    wrong = run("--model", "toy", "--version", "9")
    assert (wrong.returncode, wrong.stdout) == (1, "") and wrong.stderr.startswith(
        "error: toy has no packaged version 9"
    )
    command_line = subprocess.run(
        ["make", "-n", "card", "MODEL=toy", "VERSION=9"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    assert 'include.cards --model "toy" --version "9"' in command_line
