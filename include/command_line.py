"""How a process of Perennial's command line begins and ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from include.settings import UMASK


def run(main: Callable[[], int]) -> NoReturn:
    """Call ``main`` with Perennial's umask, and end the process with the status that it returns.

    The interpreter does not shut down: threads of deltalake can abort it then (exit status 134 after a success).
    ``main`` must have closed its files.
    """
    os.umask(UMASK)
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
