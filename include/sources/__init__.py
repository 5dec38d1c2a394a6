"""Building blocks for a model's `source.py`: one local day of a CSV or Parquet file, or of an SQL table.

A source is a frozen dataclass (`CsvFile`, `ParquetFiles`, `SqlTable`) with the place of the rows and the column of
their time. `rows_of_day` turns it into the result of `fetch`: declared names and types, the day of the partition.
`rows_of_days` does the same for `fetch_range`, with one reading of the source for many days.
"""

from include.sources.connections import from_environment
from include.sources.csv_file import CsvFile
from include.sources.days import Reading, Source, rows_of_day, rows_of_days
from include.sources.numbers import NumberFormat
from include.sources.parquet_files import ParquetFiles
from include.sources.sql_table import SqlTable
from include.sources.times import EventTime

__all__ = [
    "CsvFile",
    "EventTime",
    "NumberFormat",
    "ParquetFiles",
    "Reading",
    "Source",
    "SqlTable",
    "from_environment",
    "rows_of_day",
    "rows_of_days",
]
