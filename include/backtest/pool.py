"""Collects days and fits nights in worker processes, one thread each; finished work is on disk, whatever happens."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeVar

from include.backtest import damaged, in_memory
from include.backtest.damaged import DamagedNight, DamagedRows
from include.backtest.history import History
from include.backtest.lab import DAYS_AT_ONCE, Lab
from include.backtest.store import Store
from include.data import loading
from include.errors import DataError, PerennialError
from include.spec import Model
from include.training.plan import Plan

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Work:
    """One night to be fitted: its plan (of `planning.take`), the key that it is kept under, the damage to its rows."""

    plan: Plan
    key: str
    damaged: DamagedNight | None = None

    @property
    def as_of(self) -> str:
        return self.plan.as_of


Fit = Callable[[Iterable[Work]], Iterator[tuple[str, float]]]
Collect = Callable[[Sequence[str]], Iterator[tuple[str, str | None]]]
T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R")


@contextmanager
def fitting(model: Model, history: History, store: Store, count: int) -> Iterator[Fit]:
    """``count`` processes; the value fits nights and yields as-of and seconds of each, as they are done.

    Raises
    ------
    PerennialError : a worker was killed (by the machine's memory, most likely); the nights that are done are kept.
    """
    with _processes(count, _start_fitting, (model, history.root, history.digest, store.root)) as executor:
        yield lambda works: _done([executor.submit(_fit, work) for work in works])


@contextmanager
def collecting(model: Model, root: Path, connections: Mapping[str, str], count: int) -> Iterator[Collect]:
    """``count`` processes; the value collects days into the lab at ``root`` and yields key and finding of each."""
    with _processes(count, _start_collecting, (model, root, dict(connections))) as executor:
        yield lambda keys: chain.from_iterable(
            _done([executor.submit(_collect, chunk) for chunk in loading.chunks(keys, DAYS_AT_ONCE)])
        )


@contextmanager
def calling(
    function: Callable[[Model, History, A], R], model: Model, history: History, count: int
) -> Iterator[Callable[[Iterable[A]], Iterator[R]]]:
    """``count`` processes; the value calls a module's function for each argument and yields what it returns, as they
    are done.

    Raises
    ------
    PerennialError : as `fitting`.
    """
    with _processes(count, _start_calling, (model, history.root, history.digest)) as executor:
        yield lambda arguments: _done([executor.submit(_call, function, argument) for argument in arguments])


@contextmanager
def _processes(count: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> Iterator[ProcessPoolExecutor]:
    os.environ.update(ONE_THREAD)
    spawn = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(count, mp_context=spawn, initializer=start, initargs=arguments)
    try:
        yield executor
    except BaseException:
        for worker in multiprocessing.active_children():
            worker.kill()  # its work is not wanted any more, and what it writes is atomic
        raise
    finally:
        # The process may end without its exit handlers (`command_line.run`), so the semaphores are released here.
        executor.shutdown(cancel_futures=True)


def _done(futures: list[Future[T]]) -> Iterator[T]:
    try:
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        raise PerennialError(
            "a worker process was killed, most likely because the machine has too little memory. What is done is kept: "
            "run the same command again with fewer workers (--workers 1)."
        ) from None


# -- in a worker

_OURS: dict[str, Any] = {}


def _start_fitting(model: Model, lake: Path, digest: str, store: Path) -> None:
    _start()
    _OURS.update(model=model, history=History(model, lake, digest), store=Store(store, model.training.trusted_types))


def _start_calling(model: Model, lake: Path, digest: str) -> None:
    _start()
    _OURS.update(model=model, history=History(model, lake, digest))


def _start_collecting(model: Model, root: Path, connections: dict[str, str]) -> None:
    _start()
    _OURS.update(lab=Lab(model, root), connections=connections)


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, too, which ends us
    logging.disable(logging.WARNING)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A worker would wait for work for ever, even after its parent has gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _collect(keys: Sequence[str]) -> list[tuple[str, str | None]]:
    return list(_OURS["lab"].collect_days(keys, _OURS["connections"]))


def _call(function: Callable[[Model, History, A], R], argument: A) -> R:
    return function(_OURS["model"], _OURS["history"], argument)


def _fit(work: Work) -> tuple[str, float]:
    model, history, store = _OURS["model"], _OURS["history"], _OURS["store"]
    began = time.perf_counter()
    try:
        rows = DamagedRows(model, work.plan, history, work.damaged) if work.damaged else history
        made = in_memory.fits(model, work.plan, rows)
        fit = damaged.release if work.damaged else in_memory.release
        release, guard = fit(model, work.plan, made.chosen.recipe, made.twin.pipeline, rows)
    except DataError as refused:
        store.put(work.as_of, work.key, time.perf_counter() - began, refused=str(refused))
    except Exception as crash:
        if work.damaged is None:
            raise
        # what fails in a task ends its night without a decision, and damaged rows can make anything fail
        why = f"the training crashed ({type(crash).__name__}: {crash})"
        store.put(work.as_of, work.key, time.perf_counter() - began, refused=why)
    else:
        store.put(work.as_of, work.key, time.perf_counter() - began, made, release, guard)
    return work.as_of, time.perf_counter() - began
