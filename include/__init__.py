"""Perennial without Airflow: nothing below this package imports it."""

from include.former_names import install

install()
