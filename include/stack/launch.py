"""Starts one program with the variables of a private file, so that only this program has them.

supervisord runs this file as ``python -I -S launch.py <file> <command> ...``. The process replaces itself with the
command, so its pid stays the same. It imports nothing of Perennial, so it takes only a few milliseconds.
"""

import json
import os
import sys
from collections.abc import Mapping


def main(arguments: list[str]) -> None:
    """Add the variables of the file to the environment and run the command in this process."""
    file, *command = arguments
    with open(file, encoding="utf-8") as opened:
        private: Mapping[str, str] = json.load(opened)
    os.execvpe(command[0], command, {**os.environ, **private})


if __name__ == "__main__":
    main(sys.argv[1:])
