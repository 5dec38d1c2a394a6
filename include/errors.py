"""The errors that Perennial raises: each names what was wrong, where, and the closest valid value.

The class decides what Airflow does with a failed task (`plugins/perennial/operators/base.py`): a `TransientError`
is retried with back-off, every other `PerennialError` fails the task at once, because a second try would read the
same input and end the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.spelling import did_you_mean as did_you_mean
from include.spelling import nearest as nearest  # models import both from here as well


class PerennialError(Exception):
    """Base of everything that Perennial raises on purpose."""


class ConfigurationError(PerennialError):
    """A setting, a model folder or a parameter of a run is wrong; a person must fix it."""


class DataError(PerennialError):
    """The data of a partition or a window cannot be used; retrying reads the same data."""


class NotReady(PerennialError):
    """What was asked for is not over, not collected or not matured yet; a later try can succeed."""


class IntegrityError(PerennialError):
    """Bytes do not match their digest, or two views of one thing disagree."""


class ReleaseError(PerennialError):
    """A model version must not, or could not, be put into service."""


class ConflictError(ReleaseError):
    """The champion changed between the read and the write (compare-and-set failed)."""


class TransientError(PerennialError):
    """A service did not answer; the same call may succeed later."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a declaration, for a person, a log or an editor.

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
    """A declaration contradicts itself; `findings` has every contradiction. (pydantic requires a ValueError.)"""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(map(str, findings)))
        self.findings = tuple(findings)
