"""A model's nights without Airflow, MLflow, ledger or servers: its days collected into a folder, a night over them."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from include import catalog, files
from include.backtest.in_memory import Champion, MemoryChampions, MemoryTwins
from include.backtest.outcome import Night
from include.data import loading
from include.data.lake import Lake
from include.data.loading import Outcome
from include.errors import ConfigurationError, DataError, TransientError
from include.gate import rivals
from include.partitions import keys_between, newest_closed, partition, utc_now
from include.retraining import night as nights
from include.retraining import planning
from include.retraining.night import ReleaseModel
from include.retraining.ports import Ports
from include.spec import Model

log = logging.getLogger(__name__)

__all__ = ["Champion", "Lab", "Night"]

TRIES = 3
DAYS_AT_ONCE = 15
COLLECTED, LAB = "collected", "lab"


class Lab:
    """One model's nights; everything is under ``root``.

    Parameters
    ----------
    root : any folder; ``<root>/lake/<model>`` is the lake. That of a deployment (its ``PERENNIAL_HOME``) does, too.
    """

    def __init__(self, model: Model, root: Path) -> None:
        self.model = model
        self.root = Path(root)
        self.lake = Lake(model, self.root / "lake" / model.name)

    # -- days

    def missing(self, first: date, last: date) -> list[str]:
        """Keys between two days (both included) that must be collected: not published, published before their labels
        were final, or published by other code of the model's folder than today's. None before ``model.start``."""
        model, there, made_by = self.model, self.lake.published(), self._made_by()
        first = max(first, model.start)
        if first > last:
            return []
        code = _source_digest(model)

        def settled(key: str) -> bool:
            return key in there and there[key].final(model, key) and made_by.get(key, code) == code

        return [key for key in keys_between(first.isoformat(), last.isoformat()) if not settled(key)]

    def collect_days(self, keys: Sequence[str], connections: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
        """Fetch, validate and publish days as the load DAG does; yields each with what rejected it, or None.

        Raises
        ------
        NotReady : a day is not over.
        TransientError : the source did not answer in `TRIES` tries.
        DataError : the source failed otherwise.
        """
        for chunk in loading.chunks(keys, DAYS_AT_ONCE):
            yield from self._collect_chunk(chunk, connections)

    def _collect_chunk(self, keys: Sequence[str], connections: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
        waiting = list(keys)
        for attempt in range(1, TRIES + 1):
            loaded = loading.load(self.model, waiting, connections, utc_now, self.lake, report=log.debug)
            for day in loaded.days:
                if day.outcome is Outcome.FAILED:
                    raise DataError(f"{self.model.name} {day.partition} could not be fetched: {day.reason}")
                if day.outcome in (Outcome.REJECTED, Outcome.BUSY):
                    yield day.partition, day.reason
                elif day.outcome is Outcome.PUBLISHED:
                    made_by = _source_digest(self.model).encode()
                    files.write(self.lake.root / COLLECTED / day.partition, made_by)
                    yield day.partition, None
            unanswered = loaded.ended(Outcome.UNANSWERED)
            waiting = [day.partition for day in unanswered]
            if not waiting:
                return
            if attempt < TRIES:
                log.warning("%s: %s; another try follows.", self.model.name, unanswered[0].reason)
                time.sleep(attempt)
        raise TransientError(
            f"the source of {self.model.name} did not answer for {waiting[0]} in {TRIES} tries: {unanswered[0].reason}"
        )

    def collect(
        self,
        first: date,
        last: date,
        connections: Mapping[str, str] | None = None,
        report: Callable[[str], None] | None = None,
    ) -> list[str]:
        """Collect the days between ``first`` and ``last`` (both included) that are missing; may be killed and repeated.

        Parameters
        ----------
        report : called with "43/85 days" after each.

        Returns
        -------
        Keys that failed validation; the reason is in the log and in the report below the lake's ``validation``.
        """
        wanted, stopped = self.missing(first, last), []
        for done, (key, finding) in enumerate(self.collect_days(wanted, connections or {}), 1):
            if finding is not None:
                stopped.append(key)
            if report:
                report(f"{done}/{len(wanted)} days")
        return stopped

    def _made_by(self) -> dict[str, str]:
        """The code that each day was collected by, a file for each; days that others collected have none."""
        folder = self.lake.root / COLLECTED
        return {path.name: path.read_text() for path in folder.glob("[0-9]*")} if folder.is_dir() else {}

    # -- nights

    def newest(self) -> str:
        """The newest day that is over and whose labels are final: what tonight's run would be about."""
        return newest_closed(utc_now(), self.model.timezone, self.model.data.label.delay).key

    def night(
        self,
        as_of: str,
        champion: Champion | None = None,
        candidates: Sequence[str] | None = None,
        max_rows: int | None = None,
        window_days: int | None = None,
        past: Sequence[Champion] = (),
    ) -> Night:
        """Freeze, fit every candidate, select, compare twins on the holdout, decide: a night up to its verdict.

        Scores of a rival are kept below `root`, never among those of a deployment, and judged together with those of
        earlier nights of this lab.

        Parameters
        ----------
        champion : `Night.champion` of an earlier night; ``None``: there is none.
        candidates : the names to try; ``None``: all.
        max_rows : fit on a sample of at most this many rows (``training.max_rows``, and ``min_rows`` is lowered to it).
        window_days : days of training data; ``None``: the model's own.
        past : champions before this one, which the challenger meets as anchors.

        Raises
        ------
        NotReady, DataError, ConfigurationError : what `planning.take` refuses, with what to do.
        ReleaseError : a twin cannot be stored, as a real night would store it.
        """
        model = sampled(self.model, max_rows)
        params = {"candidates": list(candidates) if candidates else None, "window_days": window_days}
        about = partition(as_of, model.timezone)
        plan = planning.take(model, about, params, catalog.digest(model.name), None, self.lake)
        stored = rivals.OnDisk(self.root / LAB / model.name / rivals.FOLDER)
        twins = MemoryTwins(model, plan, self.lake, proven=True)
        ports = Ports(self.lake, twins, MemoryChampions(model, champion, past), stored)
        return Night(model, plan, nights.run(model, plan, ports), twins)

    def release(self, night: Night) -> ReleaseModel:
        """What packaging would do: the release model.

        Raises
        ------
        ReleaseError : a guard of the refit, or what `proving.prove` refuses: the version would not be released.
        """
        return nights.refit(night.model, night.plan, night.chosen, night.twins, self.lake)


def sampled(model: Model, max_rows: int | None) -> Model:
    """The model with fits on at most ``max_rows`` rows."""
    if max_rows is None:
        return model
    if max_rows < 1:
        raise ConfigurationError(f"max_rows is {max_rows}: it must be at least 1.")
    capped = {"max_rows": max_rows, "min_rows": min(model.training.min_rows, max_rows)}
    return model.model_copy(update={"training": model.training.model_copy(update=capped)})


def _source_digest(model: Model) -> str:
    """The code that produces a day's rows: the model's folder without the files that only training and serving use."""
    hasher = hashlib.sha256()
    folder = catalog.folder(model.name)
    for path in sorted(folder.rglob("*.py")):
        if path.name not in ("model.py", "features.py", "candidates.py"):
            content = path.read_bytes()
            hasher.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
    declared = model.data.model_dump_json(include={"columns", "key", "event_time", "label", "max_quarantined"})
    hasher.update(declared.encode() + model.timezone.encode())
    return hasher.hexdigest()[:16]
