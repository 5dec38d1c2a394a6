"""Ways in which the days after a reference differ from it, each in several strengths, from none at all upwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from include.monitor_power.stretch import Columns, Day, Stretch

Apply = Callable[[np.ndarray, float, float, np.random.Generator], np.ndarray]
"""Values of a day, strength, standard deviation of the input over the stretch, generator -> the values as they come."""


def _shift(values: np.ndarray, strength: float, spread: float, random: np.random.Generator) -> np.ndarray:
    return values + strength * spread


def _scale(values: np.ndarray, strength: float, spread: float, random: np.random.Generator) -> np.ndarray:
    return values * (1 + strength)


def _missing(values: np.ndarray, strength: float, spread: float, random: np.random.Generator) -> np.ndarray:
    lost = random.random(len(values)) < strength
    return np.where(lost, "" if values.dtype == object else np.nan, values)


def _category(values: np.ndarray, strength: float, spread: float, random: np.random.Generator) -> np.ndarray:
    fresh = (random.random(len(values)) < strength) & (values != "")
    return np.where(fresh, "(a new category)", values).astype(object)


def _stuck(values: np.ndarray, strength: float, spread: float, random: np.random.Generator) -> np.ndarray:
    if not strength or not len(values):
        return values
    return np.full_like(values, values[0])


@dataclass(frozen=True)
class Damage:
    """One way to differ.

    Attributes
    ----------
    strengths : from 0, which changes nothing. ``unit`` : of a strength.
    texts : whether it happens to inputs that are text; else to numbers.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Apply
    texts: bool = False


DAMAGES = (
    Damage("shift", "standard deviations", (0.0, 0.05, 0.1, 0.25, 0.5, 1.0), _shift),
    Damage("scale", "share", (0.0, 0.05, 0.1, 0.25, 0.5), _scale),
    Damage("unit change", "factor less 1", (0.0, 0.609, 2.6, 999.0), _scale),
    Damage("missing values", "share", (0.0, 0.02, 0.05, 0.2, 0.6), _missing),
    Damage("new category", "share", (0.0, 0.002, 0.01, 0.05, 0.2), _category, texts=True),
    Damage("stuck", "0 or 1", (0.0, 1.0), _stuck),
)


def of(stretch: Stretch, damage: Damage) -> str | None:
    """The input that it happens to: the most important one of its kind that varies; None without one."""
    weights = stretch.importance.weights()
    for name in sorted(weights, key=lambda one: -weights[one]):
        values = np.concatenate([day.inputs[name] for day in stretch.days])
        if (values.dtype == object) is damage.texts and len(set(values[:5000].tolist())) > 2:
            return name
    return None


def applied(
    days: Sequence[Day], damage: Damage, name: str, strength: float, spread: float, random: np.random.Generator
) -> list[Day]:
    """These days with the input ``name`` changed. The scores stay: they are those of a model that does not notice."""
    if not strength:
        return list(days)
    found = []
    for day in days:
        inputs: Columns = {**day.inputs, name: damage.apply(day.inputs[name], strength, spread, random)}
        found.append(replace(day, inputs=inputs))
    return found


def spread(stretch: Stretch, name: str) -> float:
    """The standard deviation of a number over the stretch; 0 of a text."""
    values = np.concatenate([day.inputs[name] for day in stretch.days])
    return 0.0 if values.dtype == object else float(np.nanstd(values))
