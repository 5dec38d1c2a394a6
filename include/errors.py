"""The errors that Perennial raises: each says what was wrong, where, and the nearest right thing.

The class decides what Airflow does with a failed task (`plugins/perennial/operators/base.py`): a `TransientError`
is retried with back-off, every other `PerennialError` fails the task at once, because a second try would read the
same input and end the same way.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


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


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a declaration, so that a person, a log and an editor can be told.

    Attributes
    ----------
    where : path from the declaration to the value: ``("columns", 3, "nullable")``; empty: the declaration itself.
    what : what is wrong, as the beginning of a sentence.
    wrong, known : a name that is not known, and the names that are.
    wanted : Python for the value that would be right.
    excess : the value should not be there at all.
    """

    where: tuple[str | int, ...]
    what: str
    wrong: str | None = None
    known: tuple[str, ...] = ()
    wanted: str | None = None
    excess: bool = False

    def __str__(self) -> str:
        if self.wrong is not None:
            return self.what + did_you_mean(self.wrong, self.known)
        return f"{self.what}; wanted: {self.wanted}" if self.wanted else self.what


class Misdeclared(ValueError):
    """A declaration contradicts itself; `findings` has every contradiction. (pydantic wants a ValueError.)"""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(map(str, findings)))
        self.findings = tuple(findings)


def nearest(wrong: str, known: Iterable[str]) -> str | None:
    """The known name that was most likely meant: another case, one slip of the finger, or else what looks like it."""
    names = sorted(set(map(str, known)))
    same = [name for name in names if name.lower() == wrong.lower()]
    slips = [name for name in names if one_slip(wrong, name)]
    like = difflib.get_close_matches(wrong, same or slips or names, n=1, cutoff=0.0 if same or slips else 0.6)
    return next(iter(like), None)


def one_slip(wrong: str, right: str) -> bool:
    """Whether one letter was swapped with its neighbour, left out, added or replaced."""
    if len(right) < 2 or abs(len(wrong) - len(right)) > 1 or wrong == right:
        return False
    at = next((n for n, (a, b) in enumerate(zip(wrong, right, strict=False)) if a != b), min(len(wrong), len(right)))
    rest, wanted = wrong[at:], right[at:]
    swapped = len(rest) > 1 and rest[1] + rest[0] + rest[2:] == wanted
    return swapped or rest[1:] == wanted or rest == wanted[1:] or (len(right) > 2 and rest[1:] == wanted[1:])


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, else the known names, else an empty string."""
    names = sorted(set(known))
    near = nearest(wrong, names)
    if near:
        return f"; did you mean {near!r}?"
    return f"; known: {', '.join(names)}" if names else ""
