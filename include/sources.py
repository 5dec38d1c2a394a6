"""What a model's `source.py` may build on: one day of a CSV or Parquet file, or of an SQL table."""
