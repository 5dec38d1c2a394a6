"""What is read at scrape time: the versions in service, and the spool."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from include.serving.metrics import PREFIX
from include.serving.spool import SpoolCounts
from include.serving.watcher import ModelState


class StateCollector(Collector):
    """What is read at scrape time: the versions in service, and the spool."""

    def __init__(
        self,
        states: Callable[[], Mapping[str, ModelState]],
        store_reachable: Callable[[], bool],
        spool: Callable[[], SpoolCounts],
    ) -> None:
        self._states, self._reachable, self._spool = states, store_reachable, spool

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            f"{PREFIX}_model_info", "1 for the version in service.", labels=["model", "version", "digest", "source"]
        )
        epoch = GaugeMetricFamily(f"{PREFIX}_release_epoch", "Epoch of the release in service.", labels=["model"])
        age = GaugeMetricFamily(f"{PREFIX}_release_age_seconds", "Since the version was released.", labels=["model"])
        pending = GaugeMetricFamily(
            f"{PREFIX}_pending_error", "1 if a newer release cannot be put into service here.", labels=["model"]
        )
        for name, state in self._states().items():
            pending.add_metric([name], 1.0 if state.pending_error else 0.0)
            served = state.served
            if served is not None:
                info.add_metric([name, str(served.version), served.digest, served.source], 1.0)
                epoch.add_metric([name], served.epoch)
                age.add_metric([name], max(0.0, time.time() - _posix(served.released_at)))
        yield from (info, epoch, age, pending)
        yield GaugeMetricFamily(
            f"{PREFIX}_store_reachable", "1 if the bundle store can be listed.", value=float(self._reachable())
        )
        spool = self._spool()
        yield GaugeMetricFamily(f"{PREFIX}_spool_depth_rows", "Predictions queued, not written.", value=spool.depth)
        for name, text, value in (
            ("accepted_rows", "Predictions queued for the spool.", spool.accepted),
            ("dropped_rows", "Predictions answered but not recorded (queue full or disk failing).", spool.dropped),
            ("written_rows", "Predictions written to the spool.", spool.written),
            ("synced_rows", "Predictions synced to disk.", spool.synced),
            ("closed_segments", "Segments closed, ready to be loaded.", spool.segments_closed),
            ("crash_lost_rows", "Predictions that crashed runs accepted and did not write.", spool.lost_by_last_crash),
            ("torn_lines", "Torn lines cut from segments of crashed runs.", spool.torn_lines),
        ):
            yield CounterMetricFamily(f"{PREFIX}_spool_{name}", text, value=value)


def _posix(iso: str) -> float:
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return float("nan")
    return moment.timestamp() if moment.tzinfo else datetime.fromisoformat(iso + "+00:00").timestamp()
