"""The bundle store: writes are all or nothing, every byte is verified, release records only grow."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from include.errors import ConfigurationError, IntegrityError
from include.registry.bundles import BundleStore, ReleaseRecord

FILES = {"model.onnx": b"onnx", "card.md": b"# card", "source/features.py": b"def build(c): ..."}


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "bundles")


def record(epoch: int, version: int = 1) -> ReleaseRecord:
    return ReleaseRecord("parcels", version, "a" * 64, epoch, "2026-05-03T06:00:00+00:00", "run")


def test_equal_content_has_an_equal_digest_that_sha256sum_can_check(store: BundleStore) -> None:
    digest = store.write("parcels", FILES)
    assert store.write("parcels", dict(reversed(FILES.items()))) == digest
    assert store.write("parcels", {**FILES, "card.md": b"# other"}) != digest
    bundle = store.open("parcels", digest)
    assert {name: bundle.read(name) for name in bundle.sums} == FILES
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=bundle.path, check=True)
    assert not list((store.root / "parcels").glob(".tmp-*"))


def test_a_changed_missing_extra_or_linked_file_is_named(store: BundleStore) -> None:
    path = store.root / "parcels" / store.write("parcels", FILES)
    opened = store.open("parcels", path.name)
    (path / "card.md").chmod(0o644)
    (path / "card.md").write_bytes(b"# Card")
    (path / "source" / "features.py").unlink()
    (path / "source" / "evil.pyc").write_bytes(b"")
    (path / "elsewhere").symlink_to("/etc")
    with pytest.raises(IntegrityError) as error:
        store.open("parcels", path.name)
    for problem in (
        "source/features.py is missing",
        "source/evil.pyc is not part of the bundle",
        "elsewhere is not part of the bundle",
        "card.md changed",
    ):
        assert problem in str(error.value)
    with pytest.raises(IntegrityError, match="card.md changed"):
        opened.read("card.md")


def test_a_link_instead_of_a_file_is_refused(store: BundleStore, tmp_path: Path) -> None:
    path = store.root / "parcels" / store.write("parcels", FILES)
    (tmp_path / "copy").write_bytes(b"# card")
    (path / "card.md").unlink()
    (path / "card.md").symlink_to(tmp_path / "copy")
    with pytest.raises(IntegrityError, match="card.md changed"):
        store.open("parcels", path.name)


def test_an_edited_list_and_a_missing_bundle_are_refused(store: BundleStore) -> None:
    path = store.root / "parcels" / store.write("parcels", FILES)
    (path / "SHA256SUMS").chmod(0o644)
    (path / "SHA256SUMS").write_bytes((path / "SHA256SUMS").read_bytes().replace(b"card", b"Card"))
    with pytest.raises(IntegrityError, match="SHA256SUMS changed"):
        store.open("parcels", path.name)
    with pytest.raises(IntegrityError, match="missing from the bundle store"):
        store.open("parcels", "0" * 64)


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/passwd", "a/../../x", "a//b", ".hidden", "a/", "", "a\\b", "a\nb", "SHA256SUMS", "card.md/x", "a b"],
)
def test_names_that_could_leave_the_bundle_are_refused(store: BundleStore, name: str) -> None:
    with pytest.raises(IntegrityError, match="refused|both as a file and as a folder"):
        store.write("parcels", {**FILES, name: b""})
    assert not (store.root / "parcels").exists()


@pytest.mark.parametrize("model", ["../parcels", "Parcels", "", "a/b"])
def test_model_names_and_digests_cannot_leave_the_store(store: BundleStore, model: str) -> None:
    with pytest.raises(ConfigurationError):
        store.write(model, FILES)
    with pytest.raises(ConfigurationError):
        store.open("parcels", f"../{model}")


def _write(root: Path, barrier: multiprocessing.synchronize.Barrier) -> None:
    barrier.wait()
    BundleStore(root).write("parcels", {"big": bytes(2_000_000), **FILES})


def test_two_writers_of_one_bundle_leave_one_bundle(store: BundleStore) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    writers = [context.Process(target=_write, args=(store.root, barrier)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    (digest,) = (path.name for path in (store.root / "parcels").iterdir())
    store.open("parcels", digest)


def test_a_killed_writer_leaves_no_bundle_and_its_remains_are_removed(
    store: BundleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(os, "rename", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        store.write("parcels", FILES)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    (rest,) = (store.root / "parcels").iterdir()
    assert rest.name.startswith(".tmp-")
    os.utime(rest, (time.time() - 7200,) * 2)
    digest = store.write("parcels", FILES)
    assert [path.name for path in (store.root / "parcels").iterdir()] == [digest]


def test_twins_are_verified(store: BundleStore) -> None:
    digest = store.put_twin("parcels", b"skops")
    assert store.put_twin("parcels", b"skops") == digest
    assert store.get_twin("parcels", digest) == b"skops"
    (store.root / "parcels" / "twins" / f"{digest}.skops").write_bytes(b"other")
    with pytest.raises(IntegrityError, match="changed"):
        store.get_twin("parcels", digest)
    with pytest.raises(IntegrityError, match="missing"):
        store.get_twin("parcels", "0" * 64)


def test_release_records_only_grow(store: BundleStore) -> None:
    assert store.read_release("parcels") is None
    store.write_release(record(2))
    store.write_release(record(2))
    assert store.read_release("parcels") == record(2) == store.releases()["parcels"]
    for lower in (record(1), record(2, version=5)):
        with pytest.raises(IntegrityError, match="is at epoch 2 .* refused"):
            store.write_release(lower)
    with pytest.raises(IntegrityError, match="not removed by epoch 2"):
        store.remove_release("parcels", 2)
    store.remove_release("parcels", 3)
    store.remove_release("parcels", 3)
    assert store.read_release("parcels") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-20],
        lambda data: data.replace(b'"epoch": 2', b'"epoch": 9'),
        lambda data: b"",
        lambda data: b"[]",
        lambda data: data.replace(b'"version": 1', b'"version": "1"'),
        lambda data: data.replace(b'"version": 1', b'"version": true'),
    ],
)
def test_a_damaged_record_is_refused_and_the_others_are_still_found(store: BundleStore, damage: object) -> None:
    store.write_release(record(2))
    store.write_release(ReleaseRecord("orders", 1, "b" * 64, 1, "2026-05-03T06:00:00+00:00", "run"))
    path = store.root / "parcels" / "release.json"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(IntegrityError, match=r"release.json"):
        store.read_release("parcels")
    assert list(store.releases()) == ["orders"]
    assert store.released() == ["orders", "parcels"]
    store.write_release(record(2))
    assert store.read_release("parcels") == record(2)


def test_a_record_of_a_newer_version_is_read_and_still_verified(store: BundleStore) -> None:
    """A server can be older than the release that it follows. It ignores fields that it does not know."""
    store.write_release(record(2))
    path = store.root / "parcels" / "release.json"
    newer = {**record(2).as_dict(), "canary": {"share": 0.1}}
    canonical = json.dumps(newer, sort_keys=True, separators=(",", ":")).encode()
    path.write_text(json.dumps({**newer, "sha256": hashlib.sha256(canonical).hexdigest()}))
    assert store.read_release("parcels") == record(2)
    path.write_text(path.read_text().replace("0.1", "0.9"))
    with pytest.raises(IntegrityError, match="was edited"):
        store.read_release("parcels")


def test_a_record_of_another_model_is_refused(store: BundleStore) -> None:
    store.write_release(record(2))
    (store.root / "orders").mkdir()
    (store.root / "orders" / "release.json").write_bytes((store.root / "parcels" / "release.json").read_bytes())
    with pytest.raises(IntegrityError, match="copied from another model"):
        store.read_release("orders")


def test_bundles_and_ledger_import_nothing_heavy() -> None:
    code = "import sys, include.registry.bundles, include.registry.ledger; print([m for m in sys.modules])"
    root = str(Path(__file__).resolve().parents[2])
    loaded = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=True
    ).stdout
    names = set(json.loads(loaded.replace("'", '"')))
    assert not names & {"mlflow", "pandas", "numpy", "sklearn", "onnxruntime", "airflow", "pydantic"}
