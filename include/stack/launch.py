"""Starts one program with the variables of a private file, so that only this program has them.

A program of its own: supervisord runs it as ``python -I -S launch.py <file> <command> ...``. It replaces itself by the
command, so the process keeps its number. It imports nothing of Perennial, so it costs a few milliseconds.
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
