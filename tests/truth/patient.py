"""A copy of one of the project's models with days that can be damaged, and the outcome of a run about it."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from include import catalog
from include.data.lake import INSTANT, TEXT, Lake
from include.partitions import keys_between, partition, utc_now
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.spec import Model
from tests.truth.damage import WORLDS, Damage, World

TRAINING, NEWEST, EVERYWHERE = "training days", "newest days", "all days"
SEAM = '''

def fetch(partition: Partition, connections: Mapping[str, str]) -> pd.DataFrame:
    """The day with the damage that the file `damage.txt` names."""
    from tests.truth import damage

    rows, wanted = healthy(partition, connections), Path(__file__).with_name("damage.txt")
    return damage.NAMED[wanted.read_text()](damage.WORLDS["{real}"])(rows) if wanted.is_file() else rows
'''


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    note : the note of the run, which a person reads.
    states, tries, logs : by task. The logs are those of failed tasks and of `select` and `gate`.
    verdict, reason : of the gate; ``recorded`` is the verdict in the ledger for this run.
    champions : the version that served before the run, and the version that serves after it.
    """

    state: str
    note: str
    states: Mapping[str, str | None]
    tries: Mapping[str, int]
    verdict: str | None = None
    reason: str = ""
    recorded: str | None = None
    champions: tuple[int | None, int | None] = (None, None)
    seconds: float = 0.0
    logs: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Patient:
    """A copy of one of the project's models, with a lake, a ledger and DAGs of its own.

    It is a copy, so that damage does not affect other tests. Its days have fixed dates, so that the verdicts do not
    depend on the night in which the tests run. Subclasses decide where its DAGs run.

    Attributes
    ----------
    healthy : its undamaged rows; ``version`` is the version of the lake's table with these rows.
    folder : the folder of the copy.
    """

    real: str
    model: Model
    world: World
    lake: Lake
    healthy: pd.DataFrame
    version: int
    folder: Path

    @property
    def name(self) -> str:
        return self.model.name

    def retrain(self, as_of: str, **conf: Any) -> Outcome:
        """A run of `<model>_retrain` and, if it promotes, the release that it starts."""
        raise NotImplementedError

    def collect(self, day: str, damage: str) -> Outcome:
        """A run of `<model>_collect` whose source returns a damaged day."""
        raise NotImplementedError

    # -- days

    @property
    def holdout(self) -> list[str]:
        return before(self.world.late, self.model.training.holdout_days)

    @property
    def training(self) -> list[str]:
        """The days on which a run about the late night trains and selects."""
        return before(self.world.late, days_of(self.model))[: -len(self.holdout)]

    def damage(self, how: Damage | None, where: str) -> None:
        """Restore the healthy days, and publish the damaged ones over them."""
        table = self.lake.table("rows")
        if table.version() != self.version:
            self.lake.committing("rows", lambda newest: newest.restore(self.version))
            self.version = self.lake.table("rows").version()
        if how is None:
            return
        days = {TRAINING: self.training, NEWEST: self.holdout, EVERYWHERE: self.training + self.holdout}[where]
        rows = self.healthy[self.healthy["partition"].isin(days)].reset_index(drop=True)
        damaged = how(rows).groupby("partition")
        publish(
            self.lake,
            {str(day): found.drop(columns="partition").reset_index(drop=True) for day, found in damaged},
        )

    def of_the_early_days(self, rows: pd.DataFrame) -> pd.DataFrame:
        """A stuck source: every day has the rows of one of the early days, under its own date."""
        early = keys_between(self.model.start.isoformat(), self.world.early)[: -self.model.training.holdout_days]
        local, instant = self.model.data.key[0], self.model.data.event_time
        found = []
        for number, day in enumerate(sorted(set(rows["partition"]))):
            old = self.healthy[self.healthy["partition"] == early[number % len(early)]]
            moved = pd.Timestamp(day) - pd.Timestamp(str(old["partition"].iloc[0]))
            found.append(old.assign(**{"partition": day, local: day, instant: old[instant] + moved}))
        return pd.concat(found, ignore_index=True)

    # -- around a run

    def damaged_source(self, damage: str, then: Callable[[], Outcome]) -> Outcome:
        """Call ``then`` while the source of the copy returns days with the damage of this name."""
        seam = self.folder / "damage.txt"
        seam.write_text(damage)
        try:
            return then()
        finally:
            seam.unlink()

    def gone(self, what: str, then: Callable[[], Outcome]) -> Outcome:
        """Call ``then`` while the champion's ``twin`` or ``bundle`` is missing from the bundle store."""
        store, ledger = BundleStore.default(), Ledger.default()
        serving = ledger.version(self.name, ledger.standing(self.name).version or 0)
        assert serving is not None and serving.bundle is not None
        path = store._twin(self.name, serving.twin) if what == "twin" else store._bundle(self.name, serving.bundle)
        aside = path.with_name(f"{path.name}.aside")
        path.rename(aside)
        try:
            return then()
        finally:
            aside.rename(path)


def admitted(real: str, folder: Path) -> dict[str, Any]:
    """Copy the model's folder to ``folder`` (a folder of models), publish its days; return arguments of `Patient`."""
    world = WORLDS[real]
    name = f"{real}_truth"
    model = catalog.load(real).model_copy(update={"name": name})
    lake = Lake.of(model)
    lake.create()
    fetch = catalog.module(real, "source").fetch
    days = [*keys_between(model.start.isoformat(), world.early), *before(world.late, days_of(model))]
    publish(lake, {day: fetch(partition(day, model.timezone), {}) for day in days})
    # After the days, because as soon as Airflow knows the folder, its scheduled `collect` writes to this table, too.
    copy(real, name, folder / name)
    healthy = lake.read_snapshot(lake.snapshot(days[0], days[-1]))
    version = lake.table("rows").version()
    return {
        **{"real": real, "model": model, "world": world, "lake": lake},
        **{"healthy": healthy, "version": version, "folder": folder / name},
    }


def publish(lake: Lake, days: Mapping[str, pd.DataFrame]) -> None:
    """Replace these partitions in one commit (`Lake.publish` makes one for each): a case damages up to 150 days."""
    stamp = pa.scalar(utc_now(), INSTANT)
    tables = []
    for day, frame in days.items():
        data = lake._strict(frame)
        added = (
            ("partition", pa.scalar(day, TEXT)),
            ("_batch", pa.scalar(uuid.uuid4().hex, TEXT)),
            ("_collected_at", stamp),
        )
        for position, (name, value) in enumerate(added):
            data = data.add_column(position, pa.field(name, value.type), pa.repeat(value, data.num_rows))
        tables.append(data)
    wanted = ", ".join(f"'{day}'" for day in days)

    def attempt(table: DeltaTable) -> None:
        data = lake._aligned("rows", table, pa.concat_tables(tables))
        write_deltalake(table, data, mode="overwrite", predicate=f"partition IN ({wanted})")

    lake.committing("rows", attempt)


def copy(real: str, name: str, folder: Path) -> None:
    """Copy a model's folder under another name. The copy never runs by schedule, and its source can damage a day."""
    shutil.copytree(catalog.folder(real), folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.glob("*.py"):
        text = path.read_text().replace(f"include.models.{real}.", f"include.models.{name}.")
        if path.name == "model.py":
            text = text.replace(f'name="{real}"', f'name="{name}"')
            text = re.sub(r'(training=Training\(\s*schedule=)"[^"]*"', r'\1"0 12 29 2 *"', text)
        if path.name == "source.py":
            text = text.replace("\ndef fetch(", "\ndef healthy(") + SEAM.format(real=real)
        path.write_text(text)


def days_of(model: Model) -> int:
    """The number of days that a run about one night reads."""
    training = model.training
    return training.window_days + training.selection_days + training.holdout_days


def before(last: str, number: int) -> list[str]:
    """This number of days, ending with ``last``."""
    first = date.fromisoformat(last) - timedelta(days=number - 1)
    return keys_between(first.isoformat(), last)
