"""Open the file or table given by SOURCE, and infer the format of the file and of its time column."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from include.authoring import formats
from include.authoring.dialects import dialect_of
from include.authoring.encodings import encoding_of
from include.authoring.findings import Request
from include.errors import ConfigurationError
from include.sources import CsvFile, EventTime, ParquetFiles, Source, SqlTable, from_environment
from include.sources.connections import holds_password
from include.sources.csv_text import COMPRESSIONS, Dialect, header, records
from include.sources.missing import NULLS
from include.spelling import did_you_mean

CSV_ENDINGS = (".csv", ".tsv", ".txt")
PARQUET_ENDINGS = (".parquet", ".pq")
KINDS = ".csv, .tsv, .txt or .parquet, each also with .gz, .zst, .bz2 or .xz; a folder of Parquet files"
SAMPLE = 1 << 24  # bytes of a CSV file whose times are examined


def open_source(request: Request) -> tuple[Source, Mapping[str, str]]:
    """The source and the connections that it needs.

    Raises
    ------
    ConfigurationError : the kind of source is unknown, a file, table or column does not exist, or SOURCE contains a
        password.
    """
    if holds_password(request.source):
        raise ConfigurationError(
            "SOURCE contains a password, which would be stored in the shell's history and in the code. Define a "
            "connection and use its name: export AIRFLOW_CONN_WAREHOUSE='postgresql://...' (or create the connection "
            "`warehouse` in Airflow), then SOURCE=sql:warehouse/schema.table."
        )
    if request.source.startswith("sql:"):
        return _open_table(request)
    if "://" in request.source:
        raise ConfigurationError(
            f"SOURCE {request.source.partition('://')[0]}://... is not a known kind of source: give {KINDS}, or "
            "sql:<connection>/<schema.table>."
        )
    path = Path(request.source).expanduser().absolute()
    if not path.exists():
        near = [p.name for p in path.parent.iterdir()][:500] if path.parent.is_dir() else []
        raise ConfigurationError(f"there is no file or folder {path}{did_you_mean(path.name, near)}")
    ending = (path.with_suffix("") if path.suffix in COMPRESSIONS else path).suffix.lower()
    if path.is_dir() or ending in PARQUET_ENDINGS:
        return _open_parquet(path, request), {}
    if ending in CSV_ENDINGS:
        return _open_csv(path, request), {}
    raise ConfigurationError(f"{path.name} is not a known kind of file: give {KINDS}.")


def _open_table(request: Request) -> tuple[Source, Mapping[str, str]]:
    connection, slash, table = request.source.removeprefix("sql:").partition("/")
    if not slash or not connection or not table or "/" in table:
        raise ConfigurationError(
            f"SOURCE {request.source!r} does not name a table: use sql:<connection>/<schema.table>, e.g. "
            "sql:warehouse/sales.orders."
        )
    connections = from_environment([connection])
    source = SqlTable(connection, table, EventTime(request.time, timezone=request.timezone))
    known = source.columns(connections)
    _require(request, list(known), f"the table {table}")
    return source, connections


def _open_parquet(path: Path, request: Request) -> Source:
    source = ParquetFiles(path, EventTime(request.time, timezone=request.timezone))
    names = source.schema().names
    _require(request, names, str(path))
    head = source.dataset().head(200_000, columns=[request.time])
    return ParquetFiles(path, EventTime(request.time, _format(request, head.column(0)), request.timezone))


def _open_csv(path: Path, request: Request) -> Source:
    if path.stat().st_size == 0:
        raise ConfigurationError(f"{path} is empty")
    dialect = dialect_of(path, encoding_of(path, request.encoding))
    names = header(path, dialect)
    if formats.looks_like_data(names):
        raise ConfigurationError(
            f"the first line of {path} contains values ({', '.join(names[:4])}), not names: add a header."
        )
    _require(request, names, str(path))
    times = _sample(path, names, dialect).column(request.time)
    return CsvFile(
        path,
        EventTime(request.time, _format(request, times), request.timezone),
        separator=dialect.separator,
        encoding=dialect.encoding,
        nulls=("",),  # what else means missing is decided, and written down, for each column
        escape=dialect.escape,
    )


def _sample(path: Path, names: list[str], dialect: Dialect) -> pa.Table:
    """The first rows of the file as text."""
    try:
        with records(path, dialect, names, NULLS, SAMPLE) as (reader, _):
            return pa.Table.from_batches([reader.read_next_batch()])
    except StopIteration:
        raise ConfigurationError(f"{path} has a header but no rows") from None
    except pa.ArrowInvalid as problem:
        raise ConfigurationError(f"{path} cannot be read: {str(problem).splitlines()[0]}") from None


def _format(request: Request, values: pa.ChunkedArray) -> str:
    if request.time_format:
        return request.time_format
    array = values.combine_chunks()
    array = array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)
    found = formats.time_format(array, share=0.99)
    if found is None:
        examples = ", ".join(repr(v) for v in array.drop_null().slice(0, 3).to_pylist())
        raise ConfigurationError(
            f"TIME={request.time} does not contain readable times, e.g. {examples or 'only missing values'}: name "
            "another column, or give their format, e.g. TIME_FORMAT='%d.%m.%Y %H:%M'."
        )
    return found


def _require(request: Request, names: list[str], where: str) -> None:
    for argument, name in (("TARGET", request.target), ("TIME", request.time), *(("KEY", k) for k in request.key)):
        if name not in names:
            raise ConfigurationError(f"{argument}={name}: {where} has no such column{did_you_mean(name, names)}")
    if request.target == request.time:
        raise ConfigurationError(f"TARGET and TIME are both {request.time}: choose two different columns.")
