"""Becomes one component of the stack, after it has ended processes that an earlier component left behind.

supervisord starts every component through this file, run by its path: ``python -I spawn.py [--user NAME] -- COMMAND``.

A component that was killed with SIGKILL cannot end its own children. MLflow's server process would keep the port, a
backend of PostgreSQL would keep the shared memory, and a task of the scheduler would continue a try that is repeated.
All of them are in supervisord's session but no longer its descendants, whatever their process group. So they are found.
The command then replaces this process, so supervisord signals it directly, and nothing else stays in memory.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import sys

import psutil

PATIENCE = 30.0  # seconds for killed processes to disappear before supervisord starts us again
ROUNDS = 100  # rounds of searching, because a process can fork while it is being killed


def orphans(session: int) -> list[psutil.Process]:
    """Living processes of a session whose line of parents does not lead to the leader of that session."""
    members: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                members[process.pid] = process
    return [process for pid, process in members.items() if pid != session and not _below(pid, session)]


def _below(pid: int, session: int) -> bool:
    """Whether this process descends from the leader. Read afresh, because a process that forks now must count."""
    try:
        while pid > 1:
            if pid == session:
                return True
            if os.getsid(pid) != session:
                return False
            pid = psutil.Process(pid).ppid()
    except (psutil.NoSuchProcess, OSError):
        return True  # it has ended; if its children are orphans now, the next round finds them
    return False


def end_orphans(session: int) -> int:
    """SIGKILL for every orphan, until none is left. Returns how many there were.

    Raises
    ------
    TimeoutError : a killed process does not disappear (it waits for a disk, or belongs to another user).
    """
    ended: set[int] = set()
    for _ in range(ROUNDS):
        found = orphans(session)
        if not found:
            return len(ended)
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        ended |= {process.pid for process in found}
        _, alive = psutil.wait_procs(found, PATIENCE)
        left = [process.pid for process in alive if process.status() != psutil.STATUS_ZOMBIE]
        if left:
            raise TimeoutError(f"processes {left} of an earlier start do not end")
    raise TimeoutError("processes of an earlier start fork faster than they can be ended")


def become(command: list[str], user: str | None) -> None:
    """Replace this process by the command, as that system user."""
    if user:
        entry = pwd.getpwnam(user)
        os.setgroups([])  # root's groups would only get in the way
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    os.execvp(command[0], command)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="spawn", description="Become one component of the stack.")
    parser.add_argument("--user")
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args(arguments)
    session = os.getsid(0)
    if os.getppid() == session:  # started by supervisord, which leads its own session
        ended = end_orphans(session)
        if ended:
            print(f"ended {ended} processes that an earlier start had left behind", flush=True)
    become(asked.command, asked.user)


if __name__ == "__main__":
    main(sys.argv[1:])
