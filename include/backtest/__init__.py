"""Replays a model's history night by night under its own protocol, without Airflow."""
