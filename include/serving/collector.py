"""What is read at scrape time: the versions in service, their scores, the store, and the spool with its disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from include.serving.metrics import PREFIX
from include.serving.score_counts import ScoresByVersion
from include.serving.spool import Spool, SpoolCounts
from include.serving.spool_disk import SpoolDisk, look
from include.serving.watcher import Watcher


class StateCollector(Collector):
    """What is read at scrape time.

    Parameters
    ----------
    watcher : knows the versions in service and the store.
    spool : the spool, or ``None`` before the server has started.
    scores : of the versions that this process has served.
    """

    def __init__(self, watcher: Watcher, spool: Callable[[], Spool | None], scores: ScoresByVersion) -> None:
        self._watcher, self._spool, self._scores = watcher, spool, scores

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        spool = self._spool()
        yield from self._versions()
        yield self._distributions()
        yield GaugeMetricFamily(
            f"{PREFIX}_store_reachable",
            "1 if the bundle store can be listed.",
            value=float(self._watcher.store_reachable),
        )
        yield GaugeMetricFamily(
            f"{PREFIX}_store_looked_at_seconds",
            "Unix time of the last look at the release records at which the bundle store could be listed.",
            value=self._watcher.looked_at,
        )
        yield from _counted(spool.counts if spool is not None else SpoolCounts())
        if spool is not None:
            yield from _on_disk(look(spool.folder))

    def _versions(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            f"{PREFIX}_model_info", "1 for the version in service.", labels=["model", "version", "digest", "source"]
        )
        epoch = GaugeMetricFamily(f"{PREFIX}_release_epoch", "Epoch of the release in service.", labels=["model"])
        age = GaugeMetricFamily(f"{PREFIX}_release_age_seconds", "Since the version was released.", labels=["model"])
        pending = GaugeMetricFamily(
            f"{PREFIX}_pending_error", "1 if a newer release cannot be put into service here.", labels=["model"]
        )
        for name, state in self._watcher.states.items():
            pending.add_metric([name], 1.0 if state.pending_error else 0.0)
            served = state.served
            if served is not None:
                info.add_metric([name, str(served.version), served.digest, served.source], 1.0)
                epoch.add_metric([name], served.epoch)
                age.add_metric([name], max(0.0, time.time() - _posix(served.released_at)))
        yield from (info, epoch, age, pending)

    def _distributions(self) -> Metric:
        found = HistogramMetricFamily(
            f"{PREFIX}_score",
            "Scores of recorded predictions: probabilities of the positive class, or the values of a regression, which "
            "have no buckets. Models of several classes have none.",
            labels=["model", "version"],
        )
        for model, version, counts in self._scores:
            found.add_metric([model, str(version)], counts.buckets(), counts.total)
        return found


def _counted(spool: SpoolCounts) -> Iterator[Metric]:
    yield GaugeMetricFamily(f"{PREFIX}_spool_depth_rows", "Predictions queued, not written.", value=spool.depth)
    for name, text, value in (
        ("accepted_rows", "Predictions queued for the spool.", spool.accepted),
        ("dropped_rows", "Predictions answered but not recorded (queue full or disk failing).", spool.dropped),
        ("write_errors", "Writes that the disk refused, for example because it is full.", spool.write_errors),
        ("written_rows", "Predictions written to the spool.", spool.written),
        ("synced_rows", "Predictions synced to disk.", spool.synced),
        ("closed_segments", "Segments closed, ready to be loaded.", spool.segments_closed),
        ("crash_lost_rows", "Predictions that crashed runs accepted and did not write.", spool.lost_by_last_crash),
        ("torn_lines", "Torn lines cut from segments of crashed runs.", spool.torn_lines),
    ):
        yield CounterMetricFamily(f"{PREFIX}_spool_{name}", text, value=value)


def _on_disk(disk: SpoolDisk) -> Iterator[Metric]:
    if disk.free_bytes is not None:
        yield GaugeMetricFamily(f"{PREFIX}_spool_free_bytes", "Free on the spool's disk.", value=disk.free_bytes)
    for name, text, values in (
        (
            "waiting_segments",
            "Closed segments that are not loaded yet.",
            {n: d.waiting for n, d in disk.models.items()},
        ),
        ("waiting_bytes", "Size of these segments.", {n: d.waiting_bytes for n, d in disk.models.items()}),
        ("oldest_seconds", "Since the oldest of them was closed.", {n: d.oldest for n, d in disk.models.items()}),
        ("open_bytes", "Size of the segment that is written to.", {n: d.open_bytes for n, d in disk.models.items()}),
    ):
        family = GaugeMetricFamily(f"{PREFIX}_spool_{name}", text, labels=["model"])
        for model, value in values.items():
            family.add_metric([model], value)
        yield family


def _posix(iso: str) -> float:
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return float("nan")
    return moment.timestamp() if moment.tzinfo else datetime.fromisoformat(iso + "+00:00").timestamp()
