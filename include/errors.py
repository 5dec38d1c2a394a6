"""The errors that Perennial raises: each says what was wrong, where, and the nearest right thing.

The class decides what Airflow does with a failed task (`plugins/perennial/operators/base.py`): a `TransientError`
is retried with back-off, every other `PerennialError` fails the task at once, because a second try would read the
same input and end the same way.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PerennialError(Exception):
    """Base of everything that Perennial raises on purpose."""


class ConfigurationError(PerennialError):
    """A setting, a model folder or a parameter of a run is wrong; a person has to mend it."""


class DataError(PerennialError):
    """The data of a partition or a window cannot be used; retrying reads the same data."""


class NotReady(PerennialError):
    """The thing asked for is not over, not collected or not matured yet; a later try can succeed."""


class IntegrityError(PerennialError):
    """Bytes are not what their digest says, or two views of one thing disagree."""


class ReleaseError(PerennialError):
    """A model version may not, or could not, be put into service."""


class ConflictError(ReleaseError):
    """Someone else changed the champion between our read and our write (compare-and-set failed)."""


class TransientError(PerennialError):
    """A service did not answer; the same call may succeed later."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, else the known names, else an empty string."""
    names = sorted(set(known))
    near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""
