"""Did you mean: the known name nearest to one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
