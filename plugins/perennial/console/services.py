"""Whether MLflow answers: pages do not need it, but their links to it do, and so do the next nights."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx

from include.settings import Settings

PATIENCE = 0.5
"""Seconds."""


@contextmanager
def asking_mlflow() -> Iterator[list[str]]:
    """Ask MLflow while the body of the block runs; afterwards, the list has the problem, if there is one."""
    problems: list[str] = []
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(_problem)
        yield problems
        problem = asked.result()
    if problem:
        problems.append(problem)


def _problem() -> str | None:
    url = Settings.from_environment().tracking_url
    if url is None:
        return None
    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=PATIENCE, trust_env=False).raise_for_status()
    except httpx.HTTPError:
        return f"MLflow at {url} does not answer: links to it do not open, and nights that start now fail or wait."
    return None
