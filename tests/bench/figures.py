"""The table of `make bench`: what was measured, its peer in the same run, the ratio, and whether the bar is met."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

HEAD = ("", "measured", "peer in the same run", "ratio", "bar", "met", "details")
PACKAGES = ("apache-airflow", "mlflow", "great-expectations", "deltalake", "scikit-learn", "onnxruntime")
MISSED, MET, FAILED = "**no**", "yes", "**failed**"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    what : what was measured.
    values : one for each round.
    unit : of values and peer values: ``s``, ``ms``, ``/s``, ``%``, ``MB``, or nothing.
    peer : what it is compared with. ``peer_values`` : one for each round, of the same run.
    bar : the limit of the median: of the ratio if there is a peer, else of the value.
    at_least : the bar is a lower limit.
    details : a few words or figures.
    """

    what: str
    values: Sequence[float]
    unit: str
    peer: str = ""
    peer_values: Sequence[float] = ()
    bar: float | None = None
    at_least: bool = False
    details: str = ""

    @property
    def ratios(self) -> list[float]:
        """The ratio to the peer: of each round, or of the medians if the numbers of rounds differ."""
        if not self.peer_values:
            return []
        if len(self.values) == len(self.peer_values):
            return [mine / theirs for mine, theirs in zip(self.values, self.peer_values, strict=True)]
        return [median(self.values) / median(self.peer_values)]

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without a bar. A bar counts for the exact median, not for the rounded one."""
        if self.bar is None:
            return None
        measured = median(self.ratios or self.values)
        return measured >= self.bar if self.at_least else measured <= self.bar

    def cells(self) -> list[str]:
        """The texts of the line, as named by `HEAD`."""
        unit = "" if self.peer_values else self.unit
        sign = "at least" if self.at_least else "at most"
        bar = "" if self.bar is None else f"{sign} {number(self.bar)}{' ' + unit if unit else ''}"
        peer = f"{self.peer}: {spread(self.peer_values, self.unit)}" if self.peer_values else self.peer
        met = {None: "", True: MET, False: MISSED}[self.met]
        ratio = spread(self.ratios, "") if self.ratios else ""
        return [self.what, spread(self.values, self.unit), peer, ratio, bar, met, self.details]


@dataclass(frozen=True)
class Failure:
    """A part that could not be measured, with the reason."""

    part: str
    reason: str

    def cells(self) -> list[str]:
        reason = " ".join(self.reason.split()).replace("|", "/")
        return [self.part, FAILED, "", "", "", "", reason if len(reason) <= 300 else f"{reason[:297]}..."]


def table(rows: Sequence[Row | Failure]) -> str:
    """The rows as a Markdown table whose columns are aligned, for a terminal and for the README."""
    lines = [list(HEAD), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    text = [_line(line, widths) for line in lines]
    return "\n".join([text[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *text[1:]])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"


def number(value: float) -> str:
    """Three significant digits, without an exponent: ``0.274``, ``17.4``, ``1,460``."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = next(d for limit, d in ((10, 1), (1, 2), (0, 3)) if abs(value) >= limit)
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def spread(values: Sequence[float], unit: str) -> str:
    """The median with the smallest and the largest value: ``17.4 s (16.9 to 18.0)``."""
    text = f"{number(median(values))}{' ' + unit if unit else ''}"
    return text if len(values) < 2 else f"{text} ({number(min(values))} to {number(max(values))})"


def machine() -> str:
    """The machine and the versions, in two lines. The load tells whether it was quiet before."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = [f"Python {platform.python_version()}", *(f"{name} {_version(name)}" for name in PACKAGES)]
    return (
        f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GB, {platform.system()}; load average before: {load}\n"
        f"{', '.join(found)}"
    )


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
