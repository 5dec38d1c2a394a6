"""The place of a worker among the processes of a model server, which its parent process gives to it."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import threading
from pathlib import Path

import msgspec

logger = logging.getLogger(__name__)


class Place(msgspec.Struct, frozen=True):
    """What a worker needs to know, as JSON on its command line.

    Attributes
    ----------
    number, count : which worker it is, from 0, and how many there are.
    listener : file descriptor of the socket to accept from.
    parent : file descriptor of a pipe that is at its end when the parent has ended.
    folder : of the workers' own sockets; only the server's user can enter it.
    """

    number: int
    count: int
    listener: int
    parent: int
    folder: str

    @classmethod
    def of(cls, argument: str) -> Place:
        """The place in a command-line argument; ValueError if it is not one."""
        return msgspec.json.decode(argument, type=cls)

    def as_argument(self) -> str:
        """The opposite of `of`."""
        return msgspec.json.encode(self).decode()

    @property
    def started(self) -> Path:
        """A file that exists once any worker has started."""
        return Path(self.folder, "started")

    def socket(self, number: int) -> Path:
        """The Unix socket of a worker."""
        return Path(self.folder, str(number))

    def end_with_parent(self) -> None:
        """Stop this process, as SIGTERM does, when its parent has ended, even if the parent was killed."""

        def wait() -> None:
            os.read(self.parent, 1)
            logger.warning("The parent process has ended: this worker stops, too.")
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, name="parent", daemon=True).start()

    def leave(self) -> None:
        """Clean up if the parent cannot: remove what is left of this worker, and the folder if it is the last one."""
        if select.select([self.parent], [], [], 0)[0]:
            for path in (self.socket(self.number), self.started):
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)
