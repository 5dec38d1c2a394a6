"""A home that an earlier release left readable for others is made private. Targets of links are not changed."""

from __future__ import annotations

import stat
from pathlib import Path

from include.stack import modes


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_permissions_of_others_are_removed_and_those_of_the_owner_stay(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    (home / "lake" / "rows").mkdir(parents=True)
    (home / "postgres" / "data").mkdir(parents=True)
    outside.mkdir()
    files = {home / "lake" / "rows" / "a.parquet": 0o664, home / "bundle": 0o444, home / "script": 0o755}
    files |= {outside / "file": 0o644, home / "postgres" / "data" / "PG_VERSION": 0o640}
    for path, rights in files.items():
        path.write_text("x")
        path.chmod(rights)
    for folder in (home, home / "lake", outside):
        folder.chmod(0o755)
    (home / "link").symlink_to(outside)
    (home / "dangling").symlink_to(home / "nothing")
    (home / "file").symlink_to(outside / "file")

    assert modes.close(home, leave=frozenset({home / "postgres" / "data"})) > 0
    assert [mode(home), mode(home / "lake"), mode(home / "lake" / "rows")] == [0o700] * 3
    assert {path.name: oct(mode(path)) for path in files if path.is_relative_to(home / "lake")} == {
        "a.parquet": "0o600"
    }
    assert (mode(home / "bundle"), mode(home / "script")) == (0o400, 0o700)
    assert (mode(outside), mode(outside / "file")) == (0o755, 0o644)
    assert mode(home / "postgres" / "data" / "PG_VERSION") == 0o640
    assert modes.close(home, leave=frozenset({home / "postgres" / "data"})) == 0
