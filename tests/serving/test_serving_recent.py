"""The figures of the last 24 hours: counted once, forgotten after a day, summed over the workers."""

from __future__ import annotations

import random
from collections import deque
from pathlib import Path

import pytest
from server_kit import Releases, Server, constant_files, row, wait_for

from include.scoring.messages import Recent
from include.scoring.record import PROBE_HEADER
from include.serving.recent import LIMITS, SLOT_SECONDS, SLOTS, Counted, Counts, Ring, Rings, together

DAY = SLOTS * SLOT_SECONDS


def test_a_ring_forgets_what_is_older_than_a_day() -> None:
    """Against a list of everything, at random moments with pauses of up to three days."""
    chance, ring, events = random.Random(0), Ring(), deque[tuple[float, str]]()
    now = 12345.6
    for _ in range(3000):
        now += chance.choice(
            (0.0, 1.0, 100.0, 1700.0, 5000.0, chance.random() * 3 * DAY if chance.random() < 0.02 else 7.0)
        )
        kind = chance.choice(("answered", "invalid", "error"))
        if kind == "answered":
            ring.answered(now, chance.random())
        else:
            ring.refused(now, kind == "error")
        events.append((now, kind))
        slot = now // SLOT_SECONDS
        while events[0][0] // SLOT_SECONDS <= slot - SLOTS:
            events.popleft()
        found = ring.read(now)
        kinds = [one for _, one in events]
        assert (sum(found.times), found.invalid, found.errors) == (
            kinds.count("answered"), kinds.count("invalid"), kinds.count("error"),
        )  # fmt: skip
    assert ring.read(now + 2 * DAY) == Counts([0] * (len(LIMITS) + 1), 0, 0)


def test_a_ring_without_a_request_takes_no_room() -> None:
    ring = Ring()
    assert sum(ring.read(1e6).times) == 0 and ring._counts is None


@pytest.mark.parametrize("seconds", [0.0, 0.00005, 0.0001, 0.000101, 0.00045, 0.1, 12.0, 60.0])
def test_the_percentile_is_the_upper_limit_of_its_bucket(seconds: float) -> None:
    ring = Ring()
    for _ in range(100):
        ring.answered(1.0, seconds)
    found = together([Counted(1.0, {"m": ring.read(1.0)})], ["m"])["m"]
    assert found.p95_ms is not None
    below, above = found.p95_ms / 1e3 / 2 ** (1 / 3), found.p95_ms / 1e3
    assert below - 1e-9 <= seconds <= above + 1e-9 or seconds < LIMITS[0] or seconds > LIMITS[-1]


def test_the_percentile_is_reached_by_95_of_100() -> None:
    ring = Ring()
    for number in range(100):
        ring.answered(1.0, 0.001 if number < 95 else 1.0)
    assert together([Counted(1.0, {"m": ring.read(1.0)})], ["m"])["m"].p95_ms == pytest.approx(1.0, rel=0.26)
    assert together([Counted(1.0, {"m": ring.read(1.0)})], ["m"])["m"].p99_ms == pytest.approx(1000.0, rel=0.26)
    ring.answered(1.0, 1.0)
    assert together([Counted(1.0, {"m": ring.read(1.0)})], ["m"])["m"].p95_ms == pytest.approx(1000.0, rel=0.26)


def test_the_sum_of_the_workers_is_unknown_without_one_of_them() -> None:
    counts = Counts([1] * (len(LIMITS) + 1), 2, 3)
    parts = [Counted(5.0, {"m": counts}), Counted(0.5, {"m": counts})]
    assert together(parts, ["m", "idle"])["m"] == Recent(
        requests=2 * (len(LIMITS) + 1 + 5),
        errors=6,
        invalid=4,
        p95_ms=1e3 * LIMITS[50],
        hours=0.5,
        p99_ms=1e3 * LIMITS[51],
    )
    assert together(parts, ["m", "idle"])["idle"] == Recent(requests=0, errors=0, invalid=0, p95_ms=None, hours=0.5)
    assert together([*parts, None], ["m"]) == {} == together([None], ["m"])


def test_a_new_process_covers_no_hours() -> None:
    assert Rings().read().hours < 0.01


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_counts_the_requests_of_clients(tmp_path: Path, releases: Releases, workers: int) -> None:
    for model, score in (("parcels", 0.25), ("idle", 0.5)):
        releases.put(model, constant_files(model, score), 1, 1)
    broken = constant_files("faulty", 0.5)
    broken["source/features.py"] = (
        b"import numpy as np\ndef build(columns):\n"
        b"    d = np.asarray(columns['distance'], dtype=np.float32)\n"
        b"    if (d == 13).any(): raise ValueError('13')\n"
        b"    return {'distance': d}\n"
    )
    releases.put("faulty", broken, 1, 1)
    server = Server(tmp_path, SERVING_WORKERS=str(workers)).start()
    try:
        for _ in range(20):
            assert server.predict("parcels", row())[0] == 200
        for _ in range(3):
            assert server.predict("parcels", row(distance="far"))[0] == 422
        assert server.predict("parcels", row(), headers={PROBE_HEADER: "1"})[0] == 200
        assert server.predict("faulty", row(distance=13.0))[0] == 500
        found = {one["model"]: one["recent"] for one in server.get("/models")[1]["models"]}
        assert {name: found["parcels"][name] for name in ("requests", "errors", "invalid")} == {
            "requests": 23, "errors": 0, "invalid": 3,
        }  # fmt: skip
        assert (
            0 < found["parcels"]["p95_ms"] <= found["parcels"]["p99_ms"] < 5000 and 0 <= found["parcels"]["hours"] < 1
        )
        assert (found["faulty"]["requests"], found["faulty"]["errors"], found["faulty"]["p95_ms"]) == (1, 1, None)
        assert (found["idle"]["requests"], found["idle"]["p95_ms"]) == (0, None)
        assert "recent" not in server.get("/models/parcels")[1]
        # without a version in service, a request is an error of its model
        releases.path("parcels").unlink()
        wait_for(lambda: server.predict("parcels", row())[0] == 503)
        after = {one["model"]: one["recent"] for one in server.get("/models")[1]["models"]}["parcels"]
        assert after["errors"] >= 1 and after["invalid"] == 3
    finally:
        server.stop()
