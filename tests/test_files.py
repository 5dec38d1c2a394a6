"""Files are written completely or not at all, and other users can never read secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from include import files
from tests.release.killing import killed_at


@pytest.mark.parametrize("private", [False, True])
def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path, private: bool) -> None:
    target = tmp_path / "new" / "settings.json"
    files.write(target, b"old")
    files.write(target, b"new", private=private)
    assert target.read_bytes() == b"new" and os.listdir(target.parent) == ["settings.json"]


@pytest.mark.parametrize(("when", "content"), [("before", b"old"), ("after", b"new")])
def test_a_kill_leaves_either_the_old_or_the_new_file_complete(tmp_path: Path, when: str, content: bytes) -> None:
    target = tmp_path / "release.json"
    files.write(target, b"old")
    assert killed_at("include.files:os.replace", when, lambda: files.write(target, b"new"))
    assert target.read_bytes() == content
    left = [name for name in os.listdir(tmp_path) if name != target.name]
    assert all(name.startswith(f"{files.UNFINISHED}release.json-") for name in left) and len(left) == (when == "before")


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), files.temporary(tmp_path) as working:
        working.write_bytes(b"half")
        raise RuntimeError("no disk left")
    assert os.listdir(tmp_path) == []


def test_only_the_owner_can_read_a_private_file_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files.write(tmp_path / "token", b"secret", private=True)
        with files.temporary(tmp_path, "token", private=True) as working:
            assert working.stat().st_mode & 0o777 == 0o600
        files.write(tmp_path / "note", b"for all")
    finally:
        os.umask(before)
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "note").stat().st_mode & 0o777 == 0o666
