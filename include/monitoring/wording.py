"""Small parts of the sentences that monitoring and the pages write."""

from __future__ import annotations

from collections.abc import Sequence


def count(number: int, what: str) -> str:
    """``1 day``, ``2 days``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], most: int = 4) -> str:
    """``a, b and c``; of many the first, and how many others there are."""
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))


def number(value: float) -> str:
    """Three significant digits, without an exponent if it is of a usual size."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def percent(share: float) -> str:
    """``62 %``, ``0.4 %``; only all is 100 %, and only nothing is 0 %."""
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    shown = f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}"
    return {"100": "99.9", "1e+02": "99.9"}.get(shown, shown) + " %"


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}" if text else ""
