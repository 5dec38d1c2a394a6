"""The spool stores each answered row exactly once, despite crashes, full queues and several servers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from load_client import request_bytes, run
from server_kit import Releases, Server, constant_files, row, wait_for

from include.errors import IntegrityError
from include.scoring.predictor import Scores
from include.scoring.record import closed_segments, lines
from include.serving.spool import Entry, Spool


def entry(request_id: str, rows: int = 1, model: str = "parcels") -> Entry:
    return Entry(
        model, 3, "d" * 64, ("carrier", "parcel"), "scheduled", request_id, [row() for _ in range(rows)],
        Scores([0.5] * rows), 1_780_000_000.25,
    )  # fmt: skip


def ids(root: Path, model: str = "parcels") -> list[tuple[str, int]]:
    return [(line.request_id, line.row) for s in closed_segments(root, model) for line in lines(s)]


def test_a_line_contains_the_prediction(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.offer(entry("a", 2))
    spool.close()
    (segment,) = closed_segments(tmp_path, "parcels")
    assert (segment.app_id, segment.number) == (f"{spool.server_id}/parcels", 1)
    first, second = lines(segment)
    assert json.loads(segment.path.read_bytes().split(b"\n")[0]) == {
        "request_id": "a",
        "row": 0,
        "key": {"carrier": "UA", "parcel": 1545},
        "event_time": "2026-05-03T09:15:00.000000Z",
        "version": 3,
        "digest": "d" * 64,
        "features": row(),
        "score": 0.5,
        "scores": None,
        "predicted_at": "2026-05-28T20:26:40.250000Z",
    }
    assert (first.row, second.row) == (0, 1) and first.features == row()


def test_segment_numbers_increase_after_segments_are_deleted(tmp_path: Path) -> None:
    numbers, servers = [], set()
    for n in range(3):
        spool = Spool(tmp_path)
        spool.offer(entry(str(n)))
        spool.close()
        (segment,) = closed_segments(tmp_path, "parcels")
        numbers.append(segment.number)
        servers.add(segment.app_id)
        segment.path.unlink()
    assert numbers == [1, 2, 3] and len(servers) == 1


def test_segments_are_closed_by_size_and_by_age(tmp_path: Path) -> None:
    spool = Spool(tmp_path, close_after_seconds=0.3, close_after_bytes=2000)
    for n in range(20):
        spool.offer(entry(str(n)))
        time.sleep(0.01)
    wait_for(lambda: len(ids(tmp_path)) == 20)
    assert len(closed_segments(tmp_path, "parcels")) > 1
    spool.close()
    assert ids(tmp_path) == [(str(n), 0) for n in range(20)]


def test_a_full_queue_drops_and_counts(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_queued_rows=100)
    taken = sum(spool.offer(entry(str(n), 10)) for n in range(1000))
    assert spool.counts.accepted == taken * 10 and spool.counts.dropped == (1000 - taken) * 10 > 0
    spool.close()
    assert len(ids(tmp_path)) == taken * 10


def test_a_failing_disk_is_counted_and_tolerated(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    (spool.folder / "parcels").write_text("in the way")
    spool.offer(entry("lost"))
    wait_for(lambda: spool.counts.dropped == 1)
    wait_for(lambda: spool.counts.write_errors == 1)
    (spool.folder / "parcels").unlink()
    spool.offer(entry("kept"))
    spool.close()
    assert ids(tmp_path) == [("kept", 0)]


def test_two_servers_have_two_folders(tmp_path: Path) -> None:
    one, two = Spool(tmp_path), Spool(tmp_path)
    assert one.server_id != two.server_id
    one.offer(entry("1"))
    two.offer(entry("2"))
    one.close()
    three = Spool(tmp_path)
    assert three.server_id == one.server_id
    two.close()
    three.close()
    assert sorted(ids(tmp_path)) == [("1", 0), ("2", 0)]
    assert len({s.app_id for s in closed_segments(tmp_path, "parcels")}) == 2


def test_an_incomplete_last_line_is_removed_and_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.offer(entry("whole", 3))
    spool.close()
    (segment,) = closed_segments(tmp_path, "parcels")
    data = segment.path.read_bytes()
    segment.path.unlink()
    torn = segment.path.with_name("000000000001.jsonl.open")
    torn.write_bytes(data[:-20])
    again = Spool(tmp_path)
    assert (again.counts.torn_lines, again.counts.lost_by_last_crash) == (1, 1)
    assert ids(tmp_path) == [("whole", 0), ("whole", 1)]
    again.close()


def test_a_modified_segment_raises_an_error_with_the_line(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.offer(entry("a"))
    spool.close()
    (segment,) = closed_segments(tmp_path, "parcels")
    segment.path.write_bytes(segment.path.read_bytes() + b"{}\n")
    with pytest.raises(IntegrityError, match="line 2"):
        lines(segment)


@pytest.mark.parametrize("torn", [0, 1, 30], ids=["whole", "one byte short", "last line short"])
def test_a_write_that_was_not_counted_yet_is_not_counted_as_lost(
    tmp_path: Path, torn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, killed = tmp_path / "live", tmp_path / "killed"
    spool = Spool(live)
    spool.offer(entry("before", 2))
    wait_for(lambda: spool.counts.taken == 2)
    settled: list[int] = []
    monkeypatch.setattr(spool, "_settle", settled.append)  # as if killed after the write
    spool.offer(entry("after", 5))
    wait_for(lambda: settled == [5])
    # Links: the segments keep their inodes. A lock of its own: the live server holds the other one.
    shutil.copytree(live, killed, copy_function=os.link, ignore=shutil.ignore_patterns("lock"))
    (killed / spool.server_id / "lock").touch()
    (path,) = killed.glob("*/parcels/*.open")
    os.truncate(path, path.stat().st_size - torn)
    again = Spool(killed)
    assert (again.counts.lost_by_last_crash, again.counts.torn_lines) == ((1, 1) if torn else (0, 0))
    assert ids(killed) == [("before", 0), ("before", 1), *(("after", n) for n in range(4 if torn else 5))]
    again.close()
    spool.close()


def test_kill_9_under_load_loses_at_most_unwritten_rows(releases: Releases, server: Server) -> None:
    releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
    server.start()
    answered: list[str] = []

    def check(status: int, body: bytes) -> str | None:
        answered.append(json.loads(body)["request_id"])
        return None

    killed = time.monotonic() + 1.5

    def until() -> bool:
        assert server.process is not None
        if time.monotonic() > killed:
            server.process.send_signal(signal.SIGKILL)
        return False  # send requests until the connections break

    run(
        server.port,
        request_bytes("/models/parcels/predict", json.dumps({"rows": [row()]}).encode()),
        4,
        None,
        until,
        check,
    )
    assert server.process is not None
    server.process.wait()
    root = server.home / "spool"
    assert list(root.glob("*/parcels/*.open"))
    server.start()
    kept = [request for request, _ in ids(root)]
    assert len(kept) == len(set(kept)) > 100
    lost = set(answered) - set(kept)
    counted = server.metric("perennial_serving_spool_crash_lost_rows_total")
    assert len(lost) <= counted <= len(lost) + 4  # of each connection, one row may be accepted and not answered
    assert set(answered[: len(answered) - int(counted) - 4]) <= set(kept)
