"""Perennial's shared logic. Nothing below this folder imports Airflow."""
