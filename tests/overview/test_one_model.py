"""The past of a model, the lineage of a version, and two versions side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.overview.one_model import compare, history, lineage
from include.overview.packaged import Packaged, of_manifest
from include.overview.records import Figure, Gain, Outcome
from include.partitions import utc_now
from include.registry.bundles import BundleStore
from include.registry.days import Days
from include.registry.evidence import Evidence, Figures, Interval, Metric, SliceEvidence, TrialEvidence
from include.registry.ledger import Ledger
from include.registry.rows import DayRow
from tests.release.bundles import package

WRITTEN = Path(__file__).parent.parent / "retraining" / "written_before"
CHECKS = [
    {"name": "days", "value": 3, "limit": 10, "passed": False, "sentence": "3 days.", "otherwise": "hold"},
    {"name": "no leak", "value": None, "limit": 0.99, "passed": None, "sentence": "Unknown.", "otherwise": "reject"},
]


def evidence(last: str, shop: float) -> Evidence:
    return Evidence(
        holdout=("2026-04-20", last),
        rows=100,
        days=10,
        metrics=(Metric(name="log_loss", value=shop, lower=0.4, upper=0.6), Metric(name="roc_auc")),
        slices=(
            SliceEvidence(
                column="shop", value="Cork", rows=9, challenger=shop, champion=0.6, gain=Interval(value=0.1, lower=0.0)
            ),
        ),
        trials=(
            TrialEvidence(
                name="baseline",
                metrics=(Metric(name="log_loss", value=0.7),),
                seconds=0.1,
                rows=50,
                first="a",
                last="b",
            ),
            TrialEvidence(name="logistic", metrics=(), seconds=None, rows=50, first="a", last="b"),
        ),
        snapshot_rows=500,
        first="2026-01-01",
        last=last,
    )


def decide(version: int, verdict: str = "promote", recorded: Evidence | None = None, **parameters: Any) -> None:
    Ledger.default().record_decision(
        "toy", f"retrain-{version}", as_of="2026-05-01", verdict=verdict, reason=f"why {version}", version=version,
        parameters=parameters, code_digest="c", snapshot_digest=f"s{version}", checks=CHECKS,
        figures=Figures(metric="log_loss", over_champion=Interval(value=0.1, lower=-0.1, upper=0.3)),
        evidence=recorded,
    )  # fmt: skip


@pytest.fixture
def toy(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three versions: the first serves again after a rollback from the second; the third is rejected."""
    digests = {version: package("toy", version) for version in (1, 2, 3)}
    ledger = Ledger.default()
    decide(1, recorded=evidence("2026-05-01", 0.6), seed=0)
    ledger.promote("toy", 1, digests[1], 0, "perennial", "retrain-1", "first")
    decide(2, recorded=evidence("2026-05-01", 0.5), seed=1, candidates=["a", "b"])
    ledger.promote("toy", 2, digests[2], 1, "perennial", "retrain-2", "second")
    ledger.promote("toy", 1, digests[1], 2, "ada", "back", "worse in Cork", "rollback", freeze=True)
    decide(3, "reject", evidence("2026-05-02", 0.4))
    Days.default().record([DayRow("toy", (utc_now() - timedelta(days=3)).date().isoformat(), "published", 10, 1)])


def test_the_past_of_a_model(toy: None) -> None:
    found = history("toy", None, utc_now())
    assert found is not None and [one.version for one in found.versions] == [3, 2, 1] and found.more == 0
    assert [one.state for one in found.versions] == ["rejected", "retired", "champion"]
    newest = found.decisions[0]
    assert (newest.outcome, newest.sentence, newest.version) == (Outcome.REJECTED, "why 3", 3)
    assert newest.over_champion == Gain(0.1, -0.1, 0.3) and newest.over_baseline is None
    assert [(check.name, check.value, check.passed) for check in newest.checks] == [
        ("days", 3, False),
        ("no leak", None, None),
    ]
    assert found.versions[1].decision is not None and found.versions[1].decision.outcome is Outcome.PROMOTED
    back = found.audit[0]
    assert (back.action, back.actor, back.version, back.from_version) == ("rollback", "ada", 1, 2)
    assert "worse in Cork" in back.reason and {entry.action for entry in found.audit} == {"promote", "rollback"}
    assert found.metric == "log_loss"
    assert [(one.name, one.chosen) for one in found.candidates] == [("baseline", False), ("logistic", True)]
    assert found.candidates[0].metrics == (Figure("log_loss", 0.7),)
    assert (found.slices[0].value, found.slices[0].gain) == ("Cork", Gain(0.1, 0.0, None))
    assert found.days[0].rows == 10 and found.rollback_to == (2, 3)


def test_a_rollback_chooses_by_itself_only_a_champion_before(toy: None) -> None:
    """After a way back, the version that was left can be chosen, and is not what an empty choice means."""
    found = history("toy", None, utc_now())
    assert found is not None and (found.previous, found.rollback_to) == (None, (2, 3))
    second = Ledger.default().version("toy", 2)
    assert second is not None and second.bundle is not None
    Ledger.default().promote("toy", 2, second.bundle, 3, "ada", "forth", "it was right", "rollback")
    found = history("toy", None, utc_now())
    assert found is not None and (found.previous, found.rollback_to) == (1, (1, 3))


def test_a_history_is_cut_and_says_so(toy: None) -> None:
    found = history("toy", None, utc_now(), newest=1)
    assert found is not None and [one.version for one in found.versions] == [3] and found.more == 2


def test_what_nobody_knows_is_none(toy: None) -> None:
    assert history("nobody", None, utc_now()) is None
    assert lineage("toy", 9) is None and compare("toy", 1, 9) is None


def test_a_model_without_a_past(home: Path, folder: Callable[[str], Path]) -> None:
    folder("fresh")
    found = history("fresh", None, utc_now())
    assert found is not None and (found.versions, found.decisions, found.candidates, found.rollback_to) == (
        (),
        (),
        (),
        (),
    )


def test_the_lineage_of_a_version(toy: None) -> None:
    found = lineage("toy", 2)
    assert found is not None and (found.snapshot, found.snapshot_rows, found.last) == ("s2", 500, "2026-05-01")
    assert (found.run_id, found.as_of, found.code) == ("retrain-2", "2026-05-01", "c")
    assert found.bundle is not None and BundleStore.default().open("toy", found.bundle)
    assert [(entry.action, entry.version) for entry in found.in_service] == [("promote", 2), ("rollback", 1)]
    assert found.commit is None and found.learned_to is None, "this bundle's manifest does not say"


def test_two_versions_side_by_side(toy: None) -> None:
    found = compare("toy", 1, 2)
    assert found is not None and found.same_holdout is True and found.note.startswith("Both were judged on the same")
    (loss, auc) = found.metrics
    assert loss.left == Figure("log_loss", 0.6, 0.4, 0.6) and loss.right == Figure("log_loss", 0.5, 0.4, 0.6)
    assert auc.left == Figure("roc_auc", None)
    assert [(one.column, one.value) for one in found.slices] == [("shop", "Cork")]
    parameters = {one.name: (one.left, one.right) for one in found.parameters}
    assert parameters["run: seed"] == ("0", "1") and parameters["run: candidates"] == (None, "a, b")
    assert {one.name: one.right for one in found.data}["snapshot"] == "s2"
    other = compare("toy", 2, 3)
    assert other is not None and other.same_holdout is False


def test_without_recorded_evidence_nothing_is_said_to_be_comparable(toy: None) -> None:
    decide(2)
    found = compare("toy", 1, 2)
    assert found is not None and found.same_holdout is None and "cannot be compared" in found.note
    assert found.metrics[0].right is None


def test_a_real_manifest_is_read() -> None:
    found = of_manifest(json.loads((WRITTEN / "manifest.json").read_text()))
    assert found.snapshot and found.snapshot_rows and found.holdout and found.packages["scikit-learn"]
    assert found.learned_to == found.as_of and found.metrics and found.metrics[0].value is not None


@pytest.mark.parametrize("document", [None, [], {"snapshot": 3, "packages": "none", "holdout": {"first": 1}}])
def test_a_strange_manifest_says_nothing(document: object) -> None:
    assert replace(of_manifest(document), packages={}) == Packaged()


def test_a_damaged_bundle_is_no_error(toy: None, home: Path) -> None:
    found = lineage("toy", 2)
    assert found is not None and found.bundle is not None
    manifest = next((home / "bundles").rglob(f"*{found.bundle}*/manifest.json"))
    manifest.chmod(0o600)
    manifest.write_text("{")
    again = lineage("toy", 2)
    assert again is not None and again.snapshot_rows == 500 and again.commit is None
