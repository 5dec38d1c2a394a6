"""File modes: only the owner has access to a home.

`make run` works with the umask `settings.UMASK`, and so do its children. What an earlier release left readable for
others is made private at the start.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

OTHERS = 0o077  # bits of group and others


def close(home: Path, leave: frozenset[Path] = frozenset()) -> int:
    """Remove all permissions of group and others in ``home``; returns how many files and folders had some.

    Links are not followed, and nothing below them is changed. ``leave`` names folders that are left with all that is in
    them: those of another system user.
    """
    changed = 0
    waiting = [str(home)]
    while waiting:
        folder = waiting.pop()
        changed += _close(folder, os.lstat(folder))
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if Path(entry.path) not in leave:
                        waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    changed += _close(entry.path, entry.stat(follow_symlinks=False))
    return changed


def _close(path: str, found: os.stat_result) -> bool:
    mode = stat.S_IMODE(found.st_mode)
    if not mode & OTHERS:
        return False
    os.chmod(path, mode & ~OTHERS)
    return True
