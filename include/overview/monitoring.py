"""Reads what the monitor of a model has measured, for its page: the newest 60 days of the lake's table `monitoring`.

Read from the table itself and not through the model's folder, so that a broken folder does not hide how the
champion is. A table that is missing or damaged is a sentence on the page, never a page that fails.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from include.errors import PerennialError
from include.overview import distributions, panels
from include.overview.watched import Distribution, DriftMap, Monitored
from include.partitions import earlier
from include.settings import Settings

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from include.data.monitoring import Measured
    from include.spec import Model
    from include.statistics.profiles import Categories, Numbers
    from include.statistics.reference import FeatureReference

log = logging.getLogger(__name__)

DAYS = 60
"""Days that are read, up to the newest measured one."""
REFERENCES = "references"
"""Below a model's lake, see `include.monitoring.references`."""


def monitored(name: str, model: Model | None, feature: str | None = None, day: str | None = None) -> Monitored:
    """What was measured of a model; never raises because of what is in the lake, the ledger or a bundle.

    Parameters
    ----------
    model : its declaration; ``None`` if its folder does not load. ``feature``, ``day`` : whose distributions are shown;
        ``None``: the most important feature that drifts, the newest day.
    """
    import pyarrow as pa
    from deltalake.exceptions import DeltaError

    root = Settings.from_environment().lake / name
    try:
        return _read(_Tables(root), name, model, feature, day)
    except (DeltaError, OSError, pa.ArrowException, ValueError, KeyError, PerennialError) as error:
        log.warning("What was measured of %s cannot be read from %s: %s", name, root, error)
        return Monitored(f"What was measured cannot be read: {_first_line(error)}")


@dataclass
class _Tables:
    """Opens a table once; `include.data.monitoring` reads from it as from a `Lake`."""

    root: Path
    opened: DeltaTable | None = None

    def exists(self, name: str) -> bool:
        from deltalake import DeltaTable

        return bool(DeltaTable.is_deltatable(str(self.root / name)))

    def table(self, name: str) -> DeltaTable:
        from deltalake import DeltaTable

        if self.opened is None:
            self.opened = DeltaTable(str(self.root / name))
        return self.opened


def _read(tables: _Tables, name: str, model: Model | None, feature: str | None, day: str | None) -> Monitored:
    from include.data import monitoring
    from include.data.monitoring import Kind
    from include.statistics.metrics import METRICS

    keys = _days(tables) if tables.exists(monitoring.NAME) else []
    if not keys:
        return Monitored(f"Not monitored yet: the first run of {name}_monitor measures the newest collected day.")
    last = keys[-1]
    rows = monitoring.read(tables, earlier(last, DAYS - 1), last)
    kinds: dict[Kind, list[Measured]] = {kind: [] for kind in Kind}
    for row in rows:
        kinds[row.kind].append(row)
    drift = panels.drift_of(kinds[Kind.DRIFT], last)
    chosen = panels.chosen_feature(drift, feature)
    larger = {metric: one.larger_is_better for metric, one in METRICS.items()}
    return Monitored(
        lack=None,
        first=min(row.partition for row in rows) if rows else last,
        last=last,
        performance=panels.performance_of(
            kinds[Kind.PERFORMANCE], model.training.metric if model is not None else None, larger
        ),
        drift=drift,
        distribution=_distribution(tables, name, drift, chosen, day) if drift and chosen else None,
        counters=panels.counters_of(kinds[Kind.COUNTER]),
        staleness=panels.staleness_of(kinds[Kind.STALENESS]),
    )


def _days(tables: _Tables) -> list[str]:
    """The days of the table, from its log."""
    from include.data import monitoring

    return sorted({part["partition"] for part in tables.table(monitoring.NAME).partitions()})


def _distribution(tables: _Tables, name: str, drift: DriftMap, feature: str, day: str | None) -> Distribution:
    """A feature then and now, or why it cannot be shown."""
    from include.data import monitoring
    from include.data.monitoring import Kind

    cells = next(row.cells for row in drift.rows if row.feature and row.subject == feature)
    days = [cell.day for cell in cells if cell is not None]
    key = day if day in days else days[-1]
    found = monitoring.read(tables, key, key, (Kind.DRIFT,), profiles=True)
    mine = [one for one in found if one.result.subject == feature and one.importance is not None]
    mine = mine or [one for one in found if one.result.subject == feature]
    row = next((one for one in reversed(mine) if one.profile is not None), None)
    if row is None or row.profile is None or row.version is None:
        return Distribution(feature, key, None, lack=f"No distribution of {feature} was kept on {key}.")
    try:
        reference, span = _reference(tables.root, name, row.version, feature)
        profile = _profile(row.profile)
    except (PerennialError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        log.warning("The reference of version %d of %s cannot be read: %s", row.version, name, error)
        why = f"The reference of v{row.version} cannot be read: {_first_line(error)}"
        return Distribution(feature, key, row.version, lack=why, sentence=row.result.sentence)
    return distributions.drawn(feature, key, row.version, span, row.result.sentence, reference, profile)


def _reference(root: Path, name: str, version: int, feature: str) -> tuple[FeatureReference, str]:
    """The reference of a feature from the bundle of a version, and its days in words.

    That of an older bundle was made by the monitor (`include.monitoring.references`); a page makes none.

    Raises
    ------
    KeyError : the reference does not have the feature. PerennialError : the ledger, the bundle or its file.
    """
    from include.registry.bundles import BundleStore
    from include.registry.ledger import Ledger
    from include.statistics.reference import FILE, LAYOUT, FeatureReference

    row = Ledger.default().version(name, version)
    if row is None or row.bundle is None:
        raise KeyError(f"version {version} is not packaged")
    bundle = BundleStore.default().open(name, row.bundle)
    document = bundle.json(FILE) if FILE in bundle.sums else {}
    if document.get("layout") != LAYOUT:
        kept = root / REFERENCES / f"{bundle.digest}.json"
        if not kept.is_file():
            raise KeyError(f"neither its bundle nor {kept} has one")
        document = json.loads(kept.read_bytes())
    found = next((one for one in document["features"] if one["name"] == feature), None)
    if found is None:
        raise KeyError(f"it does not have {feature}")
    days = document["days"]
    return FeatureReference.of(found), f"{days[0]} to {days[-1]} ({len(days)} days)" if days else "no day"


def _profile(text: str) -> Numbers | Categories:
    """The profile of a day, of numbers or of categories."""
    from include.statistics.profiles import Categories, Numbers

    document = json.loads(text)
    return Numbers.of(document) if "means" in document else Categories.of(document)


def _first_line(error: Exception) -> str:
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    line = str(said).strip().splitlines()[0] if str(said).strip() else type(error).__name__
    return line if line.endswith(".") else f"{line}."
