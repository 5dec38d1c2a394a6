"""Whether healthy models can pass the margin of their gate, by what was measured and written into `model.py`."""

from __future__ import annotations

from collections.abc import Iterator

from include.mistakes.declared import Declared
from include.mistakes.problem import Problem
from include.spec import Gate, Power
from include.spec.gate import STANDARD_ERRORS


def problems(declared: Declared) -> Iterator[Problem]:
    """A margin below 2.5 standard errors, or below the cost of one more stale week; nothing if neither was measured."""
    gate = getattr(declared.model, "gate", None)
    power = getattr(gate, "power", None)
    run = declared.run
    if run is None or not isinstance(gate, Gate) or not isinstance(power, Power):
        return
    lost = run.lost.get(id(gate), set()) | run.lost.get(id(power), set())
    if lost or gate.margin >= power.least_margin:
        return
    made = run.made.get(id(gate))
    keyword = made[1].keyword("margin") if made else None
    node = keyword.value if keyword else declared.node_of(gate)
    if node is None:
        return
    limits = {
        f"{STANDARD_ERRORS:g} standard errors ({STANDARD_ERRORS:g} x {power.standard_error:g})": STANDARD_ERRORS
        * power.standard_error,
        f"the cost of one more stale week ({power.stale_week:g})": power.stale_week,
    }
    below = " and ".join(what for what, limit in limits.items() if gate.margin < limit)
    what = f"a margin of {gate.margin:g} is below {below}: such a gate holds for ever"
    fix = run.source.replace(keyword.value, repr(power.margin)) if keyword else None
    hint = f"{power.margin:g} or more would do, or a longer holdout and another `make gate-power`"
    yield Problem(run.source.place(node), what, hint, "warning", fix)
