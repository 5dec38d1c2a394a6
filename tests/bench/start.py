"""The steps of the start of a stack on a fresh home, until Airflow answers: ``python -m tests.bench.start``.

First champions are not part of it. The seconds of a processor count every process of the stack, those that have ended
too, so they can be compared even if other work keeps the machine busy.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from statistics import median

from tests.bench import idle

STEP = re.compile(r"^done: (.+?) \(([\d.]+) s\)", re.MULTILINE)


@dataclass(frozen=True)
class Start:
    """One start: seconds by step, and seconds of a processor of all processes at its end."""

    steps: dict[str, float]
    processor: float


def measure(setting: str = "") -> Start:
    """Start a stack on a fresh home, measure it and end it; ``setting`` as in `tests.bench.idle`."""
    with idle.started(setting, chain=False) as running:
        return Start(
            {name: float(text) for name, text in STEP.findall(running.output)}, sum(idle.used(running).values())
        )


def report(starts: list[Start]) -> None:
    """Print the median of each step."""
    print("\nstart on a fresh home, median seconds")
    for name in starts[0].steps:
        print(f"  {name:<26}{median(start.steps[name] for start in starts):7.1f}")
    print(f"  {'all':<26}{median(sum(start.steps.values()) for start in starts):7.1f}")
    print(f"  {'of a processor':<26}{median(start.processor for start in starts):7.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--setting", default="", help="options of Airflow; with any of them, Airflow's migrations run")
    asked = parser.parse_args()
    report([measure(asked.setting) for _ in range(asked.rounds)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
