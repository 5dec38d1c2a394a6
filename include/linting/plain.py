"""Executes a model's file as it is, without instrumentation: decides when a library does not work under it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from include.mistakes.running import Traced


def call(run: Traced, function: str, *args: Any) -> tuple[Any] | None:
    """What the function of a traced file returns in a plain run, in a tuple of one; ``None`` if that fails, too."""
    with _module(run) as module:
        try:
            exec(compile(run.source.text, str(run.source.path), "exec", dont_inherit=True), module.__dict__)
            return (module.__dict__[function](*args),)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return None


@contextmanager
def _module(run: Traced) -> Iterator[ModuleType]:
    module = ModuleType(str(run.namespace["__name__"]))
    module.__file__, module.__package__ = str(run.source.path), run.package
    sys.modules[module.__name__] = module
    try:
        yield module
    finally:
        sys.modules.pop(module.__name__, None)
