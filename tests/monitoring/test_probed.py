"""The newer fit that a champion is compared with: a night's twin while it is new, else a probe, else the reason."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from include.data.lake import Lake
from include.data.monitoring import Kind, Measured
from include.errors import DataError
from include.monitoring import run
from include.monitoring.challengers import Challenger, Challengers, Rows
from include.monitoring.probed import Probed
from include.monitoring.probes import Probes
from include.partitions import earlier
from include.registry.ledger import Ledger
from include.spec import Model
from include.training import dataset
from tests import homes
from tests.monitoring import championed
from tests.monitoring.test_probes import KEY, LAST, RECIPE, filled, kept
from tests.services import shared
from tests.training import toy_days

__all__ = ["filled", "kept"]


class Twins:
    """A source with one twin, or none."""

    def __init__(self, last: str | None = None) -> None:
        self.last = last

    def newest(self, rows: Rows, after: str | None) -> Challenger | None:
        scores = np.full(len(rows.labels), 0.5)
        return None if self.last is None else Challenger("the twin of version 2", self.last, scores)


@pytest.fixture
def ledger(pytestconfig: pytest.Config) -> Ledger:
    return Ledger(shared(pytestconfig).new_ledger())


def rows_of(toy: Model, champion: int | None = 1) -> Rows:
    frame = dataset.labelled(toy, toy_days.days(toy, "2026-05-01", KEY))
    return Rows("2026-05-01", KEY, frame, dataset.labels(toy, frame), champion)


def probed(ledger: Ledger, kept: Probes, others: Challengers, **recipe: Any) -> Probed:
    ledger.add_version(
        "toy", 1, run_id=uuid.uuid4().hex, candidate="logistic", recipe=RECIPE | recipe, twin="t",
        twin_first="2026-04-01", twin_last="2026-04-10", metrics={},
    )  # fmt: skip
    return Probed(kept.model, ledger, others, kept)


def test_a_new_twin_needs_no_probe(ledger: Ledger, kept: Probes, toy: Model) -> None:
    found = probed(ledger, kept, Twins(earlier(LAST, 6))).newest(rows_of(toy), "2026-04-12")
    assert found is not None and found.name == "the twin of version 2" and not kept.folder.exists()


def test_a_probe_takes_the_place_of_a_missing_or_old_twin(ledger: Ledger, kept: Probes, toy: Model) -> None:
    source = probed(ledger, kept, Twins())
    for source.others in (Twins(), Twins(earlier(LAST, 7))):
        found = source.newest(rows_of(toy), "2026-04-12")
        assert found is not None and (found.name, found.last) == (f"the probe of {KEY}", LAST)
        assert found.scores.shape == rows_of(toy).labels.shape and found.scores.std() > 0.01
    assert source.newest(rows_of(toy, champion=None), "2026-04-12") is not None, "the twin, without a champion"
    assert [version.version for version in ledger.versions("toy")] == [1], "a probe is no version"


def test_a_champion_that_learned_until_lately_has_nothing_newer(ledger: Ledger, kept: Probes, toy: Model) -> None:
    assert probed(ledger, kept, Twins()).newest(rows_of(toy), earlier(LAST, 6)) is None


def test_a_probe_that_cannot_be_made_is_a_reason_never_a_healthy_champion(
    ledger: Ledger, kept: Probes, toy: Model
) -> None:
    source = probed(ledger, kept, Twins(), candidate="gone")
    with pytest.raises(DataError, match="no newer fit of toy can be made to compare with: .*'gone' is no longer"):
        source.newest(rows_of(toy), "2026-04-12")
    source.others = Twins(earlier(LAST, 9))
    found = source.newest(rows_of(toy), "2026-04-12")
    assert found is not None and found.name == "the twin of version 2"


def test_the_monitor_compares_the_champion_with_a_probe_when_the_newest_twin_is_old(
    home: homes.Home, toy: Model
) -> None:
    """Version 2 has learned up to 29 April, a probe up to the 30th: one day is enough here."""
    eager = toy.model_copy(update={"monitoring": toy.monitoring.model_copy(update={"probe_days": 1})})
    lake, versions = Lake.of(toy), Ledger.default().versions("toy")

    def look() -> tuple[list[Measured], bytes]:
        run.monitor(eager, championed.LAST, "look", championed.night_after(championed.LAST, toy))
        (record,) = (lake.root / "probes").glob("*.json")
        return championed.rows(lake, championed.LAST, Kind.STALENESS), record.read_bytes()

    first = look()
    (row,) = first[0]
    assert row.result.known and (row.version, row.days) == (1, 14)
    (probe,) = Probes(toy, lake).kept()
    assert (probe.as_of, probe.last, probe.recipe.window_days) == (championed.LAST, LAST, 80)
    assert look() == first, "a second look fits nothing and measures the same"
    assert Ledger.default().versions("toy") == versions, "a probe is no version"
