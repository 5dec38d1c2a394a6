"""Random tables like those of users: seeded, with or without signal, each with planted leaks and an identifier."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TASKS = ("binary", "regression", "multiclass")
FORMATS = ("csv", "parquet", "sql")
LEAKS = ("renamed", "scaled", "filled_with_label", "later_time", "noisy", "text")
ODD_NAMES = ("Größe (cm)", "Preis in €", "order-date", "2nd visit", "partition", "_internal", "Länge/Breite", "% off")
FIRST = date(2023, 1, 2)


@dataclass
class Table:
    """A table and what was planted in it (with the column names of the source)."""

    frame: pd.DataFrame
    task: str
    target: str
    time: str
    leaks: list[str]
    identifiers: list[str]
    signal: bool
    kinds: dict[str, str] = field(default_factory=dict)


def random_table(
    seed: int, task: str, *, signal: bool = True, wide: bool = False, closed_sundays: bool = False, days: int = 24
) -> Table:
    """Return a table of ``days`` days with about 90 to 120 rows each."""
    random = np.random.default_rng(seed)
    at = _times(random, days, closed_sundays, int(random.integers(90, 120)))
    n = len(at)
    columns: dict[str, Any] = {}
    push = np.zeros(n)
    odd = list(random.permutation(np.array(ODD_NAMES, dtype=object))[: int(random.integers(1, 4))])

    def named(usual: str) -> str:
        return str(odd.pop()) if odd and random.random() < 0.7 else usual

    for number in range(int(random.integers(2, 4))):
        values = random.normal(size=n) if number % 2 else random.lognormal(size=n)
        push += (1.2 if number < 2 else 0.2) * (values - values.mean()) / values.std()
        columns[named(f"amount_{number}")] = _with_gaps(random, np.round(values, 4), 0.15 if number == 2 else 0.0)
    shops = np.array(["Aarhus", "Bergen", "Córdoba", "Delft, NL", 'E "x"'], dtype=object)
    shop = random.integers(0, len(shops), n)
    push += (np.arange(len(shops)) - 2)[shop] * 0.5
    columns[named("shop")] = _with_gaps(random, shops[shop], 0.05)
    customer = (random.pareto(1.1, n) * 20).astype(int) % 3000
    push += ((customer * 2654435761) % 7 - 3) * 0.15
    columns["customer"] = np.array([f"C{c:05d}" for c in customer], dtype=object)
    columns["items"] = random.integers(1, 9, n)
    columns["express"] = random.random(n) < 0.3
    columns["country"] = np.full(n, "DE", dtype=object)
    columns["joined"] = pd.Series(at).dt.normalize() - pd.to_timedelta(random.integers(5, 900, n), unit="D")
    if wide:
        for number in range(50):
            columns[f"sensor_{number:02d}"] = np.round(random.normal(size=n), 3)
    identifier = "order_id"
    columns[identifier] = (
        np.array([f"{random.integers(16**8):08x}-{i}" for i in range(n)], dtype=object)
        if seed % 2
        else 10_000 + np.arange(n)
    )
    if not signal:
        push = np.zeros(n)
    target, label = _label(random, task, push + random.normal(scale=0.8, size=n))
    missing = random.random(n) < 0.04
    kinds = list(random.permutation(np.array(LEAKS[:5] if task != "regression" else LEAKS[:4]))[:2])
    leaks = {f"zz_{kind}": _leak(random, kind, target, at, missing) for kind in kinds}
    frame = pd.DataFrame({"ordered_at": at, **columns, **leaks, label: pd.Series(target).where(~missing, None)})
    if task == "multiclass":
        frame[label] = frame[label].astype(object)
    return Table(frame, task, label, "ordered_at", list(leaks), [identifier], signal)


def _times(random: np.random.Generator, days: int, closed_sundays: bool, a_day: int) -> pd.DatetimeIndex:
    moments: list[datetime] = []
    for n in range(days):
        day = FIRST + timedelta(days=n)
        if closed_sundays and day.weekday() == 6:
            continue
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock
        seconds = np.sort(random.integers(8 * 3600, 20 * 3600, int(random.integers(a_day - 6, a_day + 7))))
        moments += [midnight + timedelta(seconds=int(s)) for s in seconds]
    return pd.DatetimeIndex(moments).as_unit("us")


def _label(random: np.random.Generator, task: str, push: np.ndarray) -> tuple[np.ndarray, str]:
    if task == "binary":
        return (push > np.quantile(push, 0.65)).astype(int), "late"
    if task == "regression":
        return np.round(40 + 12 * push, 2), "minutes"
    classes = np.array(["green", "red", "yellow"], dtype=object)
    return classes[np.digitize(push, np.quantile(push, [0.4, 0.75]))], "light"


def _leak(random: np.random.Generator, kind: str, target: np.ndarray, at: pd.DatetimeIndex, missing: np.ndarray) -> Any:
    codes = target if target.dtype.kind in "if" else np.unique(target, return_inverse=True)[1]
    if kind == "renamed":
        return np.array([f"state {v}" for v in target], dtype=object) if target.dtype.kind != "f" else target
    if kind == "scaled":
        return 3.5 * codes.astype(float) + 7
    if kind == "noisy":
        wrong = random.random(len(codes)) < 0.005
        return np.where(wrong, codes[random.permutation(len(codes))], codes) + random.normal(
            scale=0.05, size=len(codes)
        )
    if kind == "filled_with_label":
        return pd.Series(random.normal(size=len(codes)).round(3)).where(~missing, None)
    return pd.Series(at + pd.to_timedelta(random.integers(1, 72, len(codes)), unit="h"))


def _with_gaps(random: np.random.Generator, values: np.ndarray, share: float) -> pd.Series:
    return pd.Series(values).where(random.random(len(values)) >= share, None)


def save(table: Table, format: str, folder: Path, seed: int) -> Path:
    """Write the table to a file; the seed decides the separator, encoding and compression."""
    folder.mkdir(parents=True, exist_ok=True)
    if format == "parquet":
        path = folder / "orders.parquet"
        table.frame.to_parquet(path, compression=("snappy", "zstd", "gzip")[seed % 3])
        return path
    separator, encoding = (",", ";", "\t")[seed % 3], ("utf-8", "utf-8-sig", "cp1252")[seed % 3]
    frame = table.frame.copy()
    if seed % 3 == 1:
        frame[table.time] = frame[table.time].dt.strftime("%d.%m.%Y %H:%M:%S")
    text = frame.to_csv(index=False, sep=separator, decimal="," if separator == ";" else ".").encode(
        encoding, "replace"
    )
    path = folder / ("orders.csv.gz" if seed % 2 else "orders.csv")
    path.write_bytes(gzip.compress(text) if seed % 2 else text)
    return path
