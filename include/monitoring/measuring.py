"""Everything that is measured about one day of a model: rows of the table `monitoring`, and the replays that it needs.

The same day of the same rows gives the same measures, whoever measures it and when: what served is what the ledger's
transitions of that time show, and the scores of the window are those of its days.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from include.data import counted
from include.data import monitoring as table
from include.data.lake import Lake
from include.data.monitoring import Kind, Measured
from include.errors import DataError, PerennialError, TransientError
from include.monitoring import (
    arrival,
    counters,
    drift,
    pairing,
    performance,
    references,
    server_figures,
    staleness,
    trivial,
)
from include.monitoring.baselines import Baselines
from include.monitoring.challengers import Challengers
from include.monitoring.counters import DayFacts
from include.monitoring.days import PublishedDays
from include.monitoring.matching import Matched, match
from include.monitoring.performance import Scored
from include.monitoring.releases import Release, Releases, known
from include.monitoring.replaying import Day, Replay, Replaying
from include.partitions import partition
from include.registry.bundles import BundleStore
from include.registry.in_service import InService, Service
from include.spec import Model
from include.statistics.reference import DayProfile, Reference
from include.statistics.results import Cause, Result, State
from include.training import dataset

log = logging.getLogger(__name__)

ONE_DAY = timedelta(days=1)
Parts = dict[tuple[str, Kind], Sequence[Measured]]
"""By day and kind, as `include.data.monitoring.write` takes them."""


@dataclass(frozen=True)
class MeasuredDay:
    """The measures of one day.

    Attributes
    ----------
    champion : the version whose staleness was measured. ``pair`` : of which.
    """

    key: str
    parts: Parts
    champion: Service | None
    pair: pairing.Paired | None

    @property
    def rows(self) -> list[Measured]:
        return [one for found in self.parts.values() for one in found]


class Measuring:
    """Measures days of one model.

    Parameters
    ----------
    now : the moment of the look; older days are measured as of the end of the day after them.
    """

    def __init__(
        self,
        model: Model,
        lake: Lake,
        store: BundleStore,
        in_service: InService,
        challengers: Sequence[Challengers],
        now: datetime,
    ) -> None:
        self.model, self.lake, self.now = model, lake, now
        self.in_service, self.challengers = in_service, challengers
        self.days = PublishedDays(model, lake)
        self.releases = Releases(model, store)
        self.replaying = Replaying(model, lake, self.releases, in_service)
        self.baselines = Baselines(model, lake)
        self._references: dict[int, Reference | str] = {}

    def outdated(self, key: str, most: int) -> list[str]:
        """Days before this one that were measured on other rows than they have now, or were left out: oldest first.

        The newest ``paired_days`` of them also if predictions of them, or of their window, were loaded later.
        Only the logs of the tables are read, and the times of events of these newest predictions.

        Parameters
        ----------
        most : how many published days before this one are looked at.
        """
        there = table.batches(self.lake)
        first = min((day for day, _ in there), default=None)
        if first is None:
            return []
        newest = self.days.up_to(key, self.model.monitoring.paired_days)
        if newest:
            self.days.count_predictions(min([newest[0], *self.days.window(newest[0])]), key)
        return [
            one
            for one in self.days.up_to(key, most)
            if one >= first
            and (
                there.get((one, Kind.COUNTER)) != self.days.stamp(one)
                or there.get((one, Kind.STALENESS)) != self.days.window_stamp(one)
                or (one in newest and there.get((one, Kind.PERFORMANCE)) != self.days.scores_stamp(one))
            )
        ]

    def champion(self, key: str) -> Service | None:
        """The version whose staleness a look at a day is about: the one that serves at the moment of the look.

        For a day that is not the newest one, the one that served at the end of the day after its labels were final.
        """
        if key >= (self.days.newest or ""):
            return self.in_service.at(self.now)
        end = partition(key, self.model.timezone).end + self.model.data.label.delay + ONE_DAY
        return self.in_service.at(min(self.now, end))

    def measure(self, key: str, facts: DayFacts) -> MeasuredDay:
        """Measure one day, published or not. The replays of it and of its window are kept.

        Raises
        ------
        TransientError : a service did not answer.
        """
        window = self.days.window(key)
        before = self.days.up_to(key, 1)
        days = self.days.read({*window, *before, *([key] if key in self.days else [])})
        wanted = [days[one] for one in dict.fromkeys((*window, key)) if one in days]
        replays = self.replaying.replay(wanted)
        matched = self._matched(wanted, replays)
        day = days.get(key)
        profiles = self._profiles(day, days.get(before[0]) if before else None, replays)
        found = self._counters(key, facts, profiles, matched.get(key))
        drifts = self._drift(key, profiles, found)
        champion = self.champion(key)
        paired = self._pair(champion, [days[one] for one in window], replays)
        shown, together = self._performance(key, [matched[one] for one in window], matched.get(key), replays)
        useless = trivial.judge(self.model, together, paired.pair, lambda: self._trivial(champion, paired.frame))
        parts: Parts = {
            (key, Kind.PERFORMANCE): shown,
            (key, Kind.DRIFT): drifts,
            (key, Kind.COUNTER): [*found, self._counter(key, facts, useless)],
            (key, Kind.STALENESS): self._staleness(key, champion, paired),
        }
        return MeasuredDay(key, parts, champion, paired)

    # -- scores

    def _matched(self, days: Sequence[Day], replays: dict[str, Replay]) -> dict[str, Matched]:
        live: pa.Table = counted.COLUMNS.empty_table()
        if days:
            live = counted.read(self.lake, min(day.key for day in days), max(day.key for day in days)).rows
        return match(self.model, days, replays, live)

    def _performance(
        self, key: str, window: Sequence[Matched], day: Matched | None, replays: dict[str, Replay]
    ) -> tuple[list[Measured], Scored | None]:
        """The rows of the table, and the scored rows of the window."""
        stamp = self.days.scores_stamp(key)
        if day is None:
            return [performance.unknown(self.model, key, stamp, "the day is not published")], None
        found: list[Measured] = []
        try:
            wanted = {one.day.key: one for one in (*window, day) if self.days.final(one.day.key)}
            scored = {one: self._scored(rows) for one, rows in wanted.items()}
        except DataError as problem:
            return [performance.unknown(self.model, key, stamp, str(problem))], None
        own = scored.get(key)
        if own is None:
            found.append(performance.unknown(self.model, key, stamp, "its labels were not final when it was collected"))
        elif not own.rows:
            found.append(performance.unknown(self.model, key, stamp, _why_not_scored(day, replays[key])))
        else:
            found += performance.of_day(self.model, key, stamp, own, self._promise)
        parts = [scored[one.day.key] for one in window if scored[one.day.key].rows]
        if len(parts) < 2:
            return found, None
        together = performance.joined(parts)
        return [*found, *performance.of_window(self.model, key, stamp, together, self._promise)], together

    def _scored(self, matched: Matched) -> Scored:
        """The rows of a day with a label and a score that counts."""
        frame = matched.day.frame
        usable = matched.scored & frame[self.model.data.label.column].notna().to_numpy(dtype=bool)
        rows, version = frame.loc[usable], matched.version[usable]
        scores = matched.scores[usable]
        baseline = np.full_like(scores, np.nan)
        for number in np.unique(version).tolist():
            release, these = self._release(number), version == number
            trivial = None if release is None else self.baselines.scores(release, rows.loc[these])
            if trivial is not None:
                baseline[these] = trivial
        return Scored(
            partitions=np.full(len(rows), matched.day.key, dtype=object),
            labels=dataset.labels(self.model, rows),
            scores=scores,
            version=version,
            live=matched.live[usable],
            baseline=baseline,
            slices=performance.groups_of(self.model, rows),
        )

    def _release(self, version: int) -> Release | None:
        service = self.in_service.of_version(version)
        return None if service is None else self.releases.known(version, service.digest)

    def _promise(self, version: int, metric: str) -> float | None:
        release = self._release(version)
        return None if release is None else release.promise(metric)

    # -- the rows of the day

    def _profiles(self, day: Day | None, previous: Day | None, replays: dict[str, Replay]) -> _Profiles:
        """The day and the day before it, profiled on the reference of the version that served when the day began."""
        service = None if day is None else replays[day.key].service
        if day is None or service is None:
            return _Profiles(None, lack=f"nothing served {self.model.name} when the day began")
        reference = self._reference(service.version)
        if isinstance(reference, str):
            return _Profiles(service.version, lack=reference)
        try:
            honest = replays[day.key].honest
            rows, scores = day.frame, None
            if honest is not None and len(honest):
                scores = honest[known(honest)]
            found = references.profile_day(self.model, reference, rows, scores, day.key)
            before = None
            if previous is not None:
                before = references.profile_day(self.model, reference, previous.frame, None, previous.key)
        except TransientError:
            raise
        except PerennialError as problem:
            return _Profiles(service.version, reference, lack=str(problem))
        return _Profiles(service.version, reference, found, before)

    def _reference(self, version: int) -> Reference | str:
        """The reference of a version, or why there is none."""
        if version not in self._references:
            try:
                self._references[version] = references.of_version(self.model, version)
            except TransientError:
                raise
            except PerennialError as problem:
                self._references[version] = str(problem)
        return self._references[version]

    def _counters(self, key: str, facts: DayFacts, profiles: _Profiles, matched: Matched | None) -> list[Measured]:
        usual = arrival.usual(self.lake, self.days, key)
        if facts.latency is not None:
            known_days = self.model.monitoring.reference_days
            usual = usual.replace(latency=server_figures.usual_latency(self.lake, key, known_days))
        results = counters.judge(
            profiles.reference, profiles.day, facts,
            usual=usual, previous=profiles.previous, leave_out=self.model.monitoring.leave_out,
            identity=(*self.model.data.key, self.model.data.event_time),
        )  # fmt: skip
        results = server_figures.kept(results, server_figures.recorded(self.lake, key))
        results = (*results, *_of_matching(self.model, matched))
        return [self._counter(key, facts, one) for one in results]

    def _counter(self, key: str, facts: DayFacts, result: Result) -> Measured:
        batch = self.days.stamp(key)
        return Measured(partition=key, kind=Kind.COUNTER, rows=facts.rows or 0, batch=batch, result=result)

    def _drift(self, key: str, profiles: _Profiles, found: Sequence[Measured]) -> list[Measured]:
        stamp = self.days.stamp(key)
        if profiles.reference is None or profiles.day is None:
            result = _unknown(drift.WEIGHTED, Cause.DRIFT, f"drift is not known: {profiles.lack}")
            return [
                Measured(partition=key, kind=Kind.DRIFT, version=profiles.version, rows=0, batch=stamp, result=result)
            ]
        declared, day = self.model.monitoring, profiles.day
        damaged = counters.damaged([one.result for one in found])
        weights = profiles.reference.importance.weights(declared.leave_out)
        rows = []
        for result in drift.judge(profiles.reference, day, declared.leave_out, damaged):
            profile = day.features.get(result.subject) or day.scores.get(result.subject)
            decides = profile is not None and drift.decides(result)
            rows.append(
                Measured(
                    partition=key,
                    kind=Kind.DRIFT,
                    version=profiles.version,
                    rows=day.rows,
                    importance=weights.get(result.subject, 0.0) if result.subject in day.features and weights else None,
                    profile=profile.model_dump_json() if profile is not None and decides else None,
                    batch=stamp,
                    result=result,
                )
            )
        return rows

    # -- a newer fit

    def _pair(self, champion: Service | None, days: Sequence[Day], replays: dict[str, Replay]) -> pairing.Paired:
        if champion is None or champion.early:
            return pairing.Paired(lack=f"nothing served {self.model.name} yet")
        try:
            release = self.releases.of(champion.version, champion.digest)
        except PerennialError as problem:
            return pairing.Paired(lack=str(problem))
        return pairing.pair(self.model, release, days, replays, self.challengers)

    def _trivial(self, champion: Service | None, frame: pd.DataFrame | None) -> np.ndarray | None:
        release = None if champion is None else self.releases.known(champion.version, champion.digest)
        return None if release is None or frame is None else self.baselines.scores(release, frame)

    def _staleness(self, key: str, champion: Service | None, paired: pairing.Paired) -> list[Measured]:
        found = staleness.judge(self.model, paired.pair, paired.lack)
        return [
            Measured(
                partition=key,
                kind=Kind.STALENESS,
                version=None if champion is None or champion.early else champion.version,
                rows=found.rows,
                days=max(found.days, 1),
                low=found.low,
                high=found.high,
                batch=self.days.window_stamp(key),
                result=found.result,
            )
        ]


@dataclass(frozen=True)
class _Profiles:
    """A day on the reference of a version; ``lack`` is why it is not, as the end of a sentence."""

    version: int | None
    reference: Reference | None = None
    day: DayProfile | None = None
    previous: DayProfile | None = None
    lack: str = ""


def _why_not_scored(day: Matched, replay: Replay) -> str:
    if not len(day.day.frame):
        return "the day has no rows"
    if not day.scored.any() and replay.fitted and replay.service is not None:
        return f"version {replay.service.version} was fitted on it, and no server has predicted it"
    return replay.lack or "no row of it has both a score and a label"


def _of_matching(model: Model, matched: Matched | None) -> list[Result]:
    """How predictions and rows fit together. There is nothing to compare these counters with: they are shown."""
    if matched is None:
        return []
    rows = len(matched.day.frame)
    unlabelled = int(matched.day.frame[model.data.label.column].isna().sum())
    predicted = f"of {matched.predictions:,} events that a server has predicted"
    counts = {
        "unmatched_predictions": (matched.unmatched, f"{matched.unmatched:,} {predicted} are not rows of the day"),
        "unlabelled_rows": (unlabelled, f"{unlabelled:,} of {rows:,} rows have no label"),
        "doubled_predictions": (
            matched.doubled,
            f"{matched.doubled:,} predictions do not count, because another one of the same event does",
        ),
        "late_predictions": (matched.late, f"{matched.late:,} {predicted} were predicted only after they were over"),
    }
    return [_unknown(name, Cause.DATA, said, float(value)) for name, (value, said) in counts.items()]


def _unknown(measure: str, cause: Cause, sentence: str, value: float | None = None) -> Result:
    return Result(
        subject="", measure=measure, formula=1, value=value, state=State.UNKNOWN, cause=cause, sentence=sentence
    )
