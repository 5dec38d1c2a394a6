"""The server follows the release records: swaps under load, refuses damage, keeps models if the store is away."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from load_client import request_bytes, run
from server_kit import FEATURES_SOURCE, Releases, Server, constant_files, row, wait_for

from include.serving.local_copy import LocalCopy
from tests.release.killing import killed_at


def version(server: Server, model: str = "parcels") -> int | None:
    return (server.get(f"/models/{model}")[1] or {}).get("version")


def test_swaps_under_load_neither_lose_nor_mix_answers(releases: Releases, server: Server) -> None:
    def score(number: int) -> float:
        return number / 64  # exact in float32

    bundles = {number: constant_files("parcels", score(number)) for number in range(1, 6)}
    digests = {number: releases.store.write("parcels", files) for number, files in bundles.items()}
    releases.put("parcels", bundles[1], 1, 1)
    server.start()
    swaps, seen, stop = 12, set(), threading.Event()

    def release() -> None:
        try:
            for epoch in range(2, swaps + 2):
                number = 1 + (epoch - 1) % 5  # including older versions under higher epochs
                releases.put("parcels", bundles[number], number, epoch)
                wait_for(lambda epoch=epoch: server.get("/models/parcels")[1]["epoch"] == epoch)
        finally:
            stop.set()

    def check(status: int, body: bytes) -> str | None:
        if status != 200:
            return f"{status}: {body!r}"
        answer = json.loads(body)
        number = answer["version"]
        seen.add(number)
        right = all(p["score"] == score(number) for p in answer["predictions"]) and answer["digest"] == digests[number]
        return None if right and len(answer["predictions"]) == 3 else f"mixed: {body!r}"

    thread = threading.Thread(target=release)
    thread.start()
    body = json.dumps({"rows": [row(), row(distance=None), row()]}).encode()
    load = run(server.port, request_bytes("/models/parcels/predict", body), 8, until=stop.is_set, check=check)
    thread.join()
    assert load.failures == []
    assert server.get("/models/parcels")[1]["epoch"] == swaps + 1
    assert seen == {1, 2, 3, 4, 5}
    assert len(load.seconds) > 400


def test_a_corrupt_bundle_leaves_the_old_one_in_service(releases: Releases, server: Server) -> None:
    releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
    server.start()
    digest = releases.store.write("parcels", constant_files("parcels", 0.5))
    model = releases.store.root / "parcels" / digest / "model.onnx"
    good = model.read_bytes()
    model.chmod(0o644)
    model.write_bytes(good[:-1] + b"x")
    from include.registry.bundles import ReleaseRecord

    releases.store.write_release(ReleaseRecord("parcels", 2, digest, 2, "2026-05-04T06:30:00+00:00", "run_2"))
    state = wait_for(lambda: (s := server.get("/models/parcels")[1])["pending_error"] and s)
    assert (state["version"], state["serving"]) == (1, True)
    assert "model.onnx" in state["pending_error"]
    assert server.predict("parcels", row())[1]["predictions"] == [{"score": 0.25}]
    assert server.metric('perennial_serving_pending_error{model="parcels"}') == 1
    time.sleep(1.0)
    assert server.log.read_text().count("ERROR") == 1
    model.write_bytes(good)  # repaired: the server finds it without a new record
    wait_for(lambda: version(server) == 2)
    assert server.get("/models/parcels")[1]["pending_error"] is None
    assert server.metric('perennial_serving_pending_error{model="parcels"}') == 0


def test_a_damaged_record_and_a_lower_epoch_are_refused(releases: Releases, server: Server) -> None:
    releases.put("parcels", constant_files("parcels", 0.25), 5, 5)
    server.start()
    path = releases.path("parcels")
    good = path.read_bytes()
    path.write_bytes(good[:40])
    wait_for(lambda: "release record" in (server.get("/models/parcels")[1]["pending_error"] or ""))
    path.unlink()  # the next write follows within one poll; nothing must be withdrawn in between
    releases.put("parcels", constant_files("parcels", 0.5), 4, 4)
    wait_for(lambda: "epoch 4" in (server.get("/models/parcels")[1]["pending_error"] or ""))
    assert version(server) == 5
    path.unlink()
    path.write_bytes(good)
    wait_for(lambda: server.get("/models/parcels")[1]["pending_error"] is None)
    releases.put("parcels", constant_files("parcels", 0.5), 4, 6)  # a rollback: an older version, a higher epoch
    wait_for(lambda: version(server) == 4)


def test_code_or_scores_that_do_not_fit_are_refused(releases: Releases, server: Server) -> None:
    files = constant_files("parcels", 0.25)
    releases.put("parcels", files, 1, 1)
    server.start()
    broken = {
        "features.py": files | {"source/features.py": b"raise RuntimeError('no')"},
        "scored 0.75": files | {"probe.json": json.dumps({"rows": [row()], "scores": [0.75]}).encode()},
        "cannot be scored": files | {"source/features.py": b"def build(columns):\n    return {}\n"},
        "model.onnx": files | {"model.onnx": b"nothing"},
        "input_schema.json": files | {"input_schema.json": b"{}"},
        "required": files | {"probe.json": json.dumps({"rows": [{}], "scores": [0.25]}).encode()},
    }
    for epoch, (word, bundle) in enumerate(broken.items(), start=2):
        releases.put("parcels", bundle, epoch, epoch)
        wait_for(
            lambda word=word: word in (server.get("/models/parcels")[1]["pending_error"] or ""),
            say=server.log.read_text,
        )
        assert server.predict("parcels", row())[1]["version"] == 1


def test_two_versions_never_share_code(releases: Releases, server: Server) -> None:
    base = constant_files("parcels", 0.25)
    releases.put("parcels", base, 1, 1)
    releases.put("other", base | {"source/features.py": (FEATURES_SOURCE + "# other\n").encode()}, 1, 1)
    server.start()
    assert {m["model"] for m in server.get("/models")[1]["models"] if m["serving"]} == {"parcels", "other"}


def test_a_withdrawn_model_is_no_longer_served(releases: Releases, server: Server) -> None:
    releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
    server.start()
    local = server.home / "serving" / "last" / "parcels"
    wait_for(lambda: (local / "release.json").exists())
    releases.store.remove_release("parcels", 2)
    wait_for(lambda: server.predict("parcels", row())[0] == 503)
    assert "taken out of service" in server.predict("parcels", row())[1]["detail"][0]["problem"]
    status, state = server.get("/models/parcels")
    assert status == 503 and "taken out of service" in state["reason"]
    wait_for(lambda: not local.exists())
    server.stop()
    server.start()
    assert server.predict("parcels", row())[0] == 503
    releases.put("parcels", constant_files("parcels", 0.5), 2, 3)
    wait_for(lambda: version(server) == 2)


def test_an_unreachable_store_withdraws_nothing(releases: Releases, server: Server) -> None:
    releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
    server.start()
    root, away = releases.store.root, releases.store.root.with_name("away")
    wait_for(lambda: (server.home / "serving/last/parcels/release.json").exists())
    os.rename(root, away)  # the mount is gone
    wait_for(lambda: server.metric("perennial_serving_store_reachable") == 0)
    root.mkdir()  # an empty mount point
    time.sleep(1.0)
    assert server.predict("parcels", row())[0] == 200
    assert "no folder of it" in server.get("/models/parcels")[1]["pending_error"]
    server.stop()
    server.start()  # with an empty mount point
    assert server.predict("parcels", row())[0] == 200
    assert server.get("/models/parcels")[1]["source"] == "local copy"
    server.stop()
    root.rmdir()
    server.start()  # without a mount point
    assert server.predict("parcels", row())[1]["predictions"] == [{"score": 0.25}]
    os.rename(away, root)
    wait_for(lambda: server.get("/models/parcels")[1]["source"] == "store")
    assert server.get("/models/parcels")[1]["pending_error"] is None
    releases.put("parcels", constant_files("parcels", 0.5), 2, 2)
    wait_for(lambda: version(server) == 2)


def test_the_local_copy_is_verified_again(releases: Releases, server: Server) -> None:
    record = releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
    server.start()
    copy = server.home / "serving/last/parcels"
    wait_for(lambda: (copy / "release.json").exists())
    server.stop()
    shutil.rmtree(releases.store.root)
    model = copy / record.digest / "model.onnx"
    model.chmod(0o644)
    model.write_bytes(model.read_bytes() + b"x")
    server.start()
    assert server.predict("parcels", row())[0] == 503
    assert "local copy cannot be used" in server.log.read_text()
    # the store is back: the server serves again and repairs its copy
    releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
    wait_for(lambda: version(server) == 1)
    server.stop()
    shutil.rmtree(releases.store.root)
    server.start()
    assert server.predict("parcels", row())[0] == 200


@pytest.mark.parametrize(
    ("step", "when", "version"),
    [("write", "before", 1), ("write", "after", 1), ("write_release", "before", 1), ("write_release", "after", 2)],
)
def test_a_server_killed_while_it_writes_its_copy_leaves_a_valid_one(
    releases: Releases, tmp_path: Path, step: str, when: str, version: int
) -> None:
    """The record always names a bundle that exists, so the server can start without the store."""
    local = LocalCopy(tmp_path / "last")
    one, two = (releases.put("parcels", constant_files("parcels", n / 4), n, n) for n in (1, 2))
    local.keep(one, releases.store.open("parcels", one.digest))
    bundle = releases.store.open("parcels", two.digest)
    assert killed_at(f"include.registry.bundles:BundleStore.{step}", when, lambda: local.keep(two, bundle))
    found = local.open("parcels")
    assert found is not None and found[0].version == version


def test_the_server_starts_without_models_and_finds_the_first_champion(releases: Releases, server: Server) -> None:
    server.start()
    assert server.get("/models")[1] == {"models": []}
    assert server.predict("parcels", row())[0] == 404
    releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
    wait_for(lambda: server.predict("parcels", row())[0] == 200)


def test_a_damaged_model_does_not_affect_the_others(releases: Releases, server: Server) -> None:
    releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
    releases.put("bikes", constant_files("bikes", 0.5), 1, 1)
    releases.path("bikes").write_text("{")
    server.start()
    assert server.predict("parcels", row())[0] == 200
    assert server.predict("bikes", row())[0] == 503
    assert server.get("/health/ready")[1]["not_serving"].keys() == {"bikes"}
