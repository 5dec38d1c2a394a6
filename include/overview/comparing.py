"""Two versions of one model side by side: metrics with intervals, slices, parameters, data and packages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from include.overview.evidence import evidence_of, figure_of, slices_of
from include.overview.packaged import Packaged, packaged
from include.overview.records import ComparedFigure, ComparedSlice, ComparedText, Comparison, Figure, SliceFigure
from include.overview.wording import count

if TYPE_CHECKING:
    from include.registry.history import VersionLines

T = TypeVar("T")

SAME = "Both were judged on the same days, by their twins."
OTHER = (
    "Each was judged on the newest days of its own night, so a difference between the metrics can come from the "
    "days. The gate's table compares the two on the same rows, if one was the challenger of the other."
)
UNKNOWN = "It is not recorded on which days they were judged, so their metrics cannot be compared."


@dataclass(frozen=True)
class _Side:
    """What is known about one version."""

    lines: VersionLines
    made: Packaged
    holdout: tuple[str, str] | None
    metrics: Sequence[Figure]
    slices: Sequence[SliceFigure]
    rows: int | None
    span: tuple[str, str] | None


def compare(name: str, left: int, right: int) -> Comparison | None:
    """Two versions side by side; ``None`` if the ledger does not have both.

    Raises
    ------
    TransientError : the ledger does not answer.
    """
    from include.registry import history as ledger

    one, other = ledger.read_version(name, left), ledger.read_version(name, right)
    if one is None or other is None:
        return None
    return compared(name, one, other, packaged(name, one.version.bundle), packaged(name, other.version.bundle))


def compared(
    name: str, left: VersionLines, right: VersionLines, left_made: Packaged, right_made: Packaged
) -> Comparison:
    """Two versions side by side, from their rows in the ledger and their manifests."""
    a, b = _side(left, left_made), _side(right, right_made)
    same = None if a.holdout is None or b.holdout is None else a.holdout == b.holdout
    return Comparison(
        model=name,
        left=left.version.version,
        right=right.version.version,
        same_holdout=same,
        note={True: SAME, False: OTHER, None: UNKNOWN}[same],
        facts=_texts(a, b, _facts),
        metrics=tuple(
            ComparedFigure(metric, one, other) for metric, one, other in _paired(a.metrics, b.metrics, lambda f: f.name)
        ),
        slices=tuple(
            ComparedSlice(key[0], key[1], one, other)
            for key, one, other in _paired(a.slices, b.slices, lambda f: (f.column, f.value))
        ),
        parameters=_texts(a, b, _parameters),
        data=_texts(a, b, _data),
        packages=_texts(a, b, _packages),
    )


def _side(lines: VersionLines, made: Packaged) -> _Side:
    evidence = evidence_of(lines.decision)
    if evidence is None:
        span = (made.first, made.last) if made.first is not None and made.last is not None else None
        return _Side(lines, made, made.holdout, made.metrics, (), made.snapshot_rows, span)
    return _Side(
        lines=lines,
        made=made,
        holdout=evidence.holdout,
        metrics=[figure_of(found) for found in evidence.metrics],
        slices=slices_of(evidence),
        rows=evidence.snapshot_rows,
        span=(evidence.first, evidence.last) if evidence.first is not None and evidence.last is not None else None,
    )


def _facts(side: _Side) -> Mapping[str, str | None]:
    row, decision = side.lines.version, side.lines.decision
    return {
        "state": row.state,
        "candidate": row.candidate,
        "run": row.run_id,
        "decision": None if decision is None else f"{decision.verdict}: {decision.reason}",
        "decided at": None if decision is None else f"{decision.decided_at:%Y-%m-%d %H:%M} UTC",
        "code": decision.code_digest if decision else side.made.code,
        "commit": side.made.commit,
        "bundle": row.bundle,
    }


def _parameters(side: _Side) -> Mapping[str, str | None]:
    """The recipe of the version, and the parameters of its run."""
    recipe: Mapping[str, Any] = side.lines.version.recipe or {}
    decision = side.lines.decision
    asked: Mapping[str, Any] = decision.parameters if decision else {}
    found = {f"recipe: {name}": _text(value) for name, value in recipe.items()}
    return found | {f"run: {name}": _text(value) for name, value in asked.items()}


def _data(side: _Side) -> Mapping[str, str | None]:
    decision, made = side.lines.decision, side.made
    twin = side.lines.version
    return {
        "as of": decision.as_of if decision else made.as_of,
        "snapshot": decision.snapshot_digest if decision else made.snapshot,
        "snapshot days": _span(side.span),
        "snapshot rows": None if side.rows is None else count(side.rows, "row"),
        "twin learned from": f"{twin.twin_first} to {twin.twin_last}",
        "release model learned from": (
            f"{made.learned_from} to {made.learned_to}" if made.learned_from and made.learned_to else None
        ),
        "holdout": _span(side.holdout),
    }


def _packages(side: _Side) -> Mapping[str, str | None]:
    return {"Python": side.made.python, **side.made.packages}


def _span(days: tuple[str, str] | None) -> str | None:
    return None if days is None else f"{days[0]} to {days[1]}"


def _text(value: object) -> str | None:
    if value is None:
        return None
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _texts(a: _Side, b: _Side, of: Callable[[_Side], Mapping[str, str | None]]) -> tuple[ComparedText, ...]:
    """The texts of both, by name in the order of the left; those that neither has are left out."""
    left, right = of(a), of(b)
    pairs = ((name, left.get(name), right.get(name)) for name in dict.fromkeys((*left, *right)))
    return tuple(ComparedText(*pair) for pair in pairs if pair[1] is not None or pair[2] is not None)


def _paired(left: Iterable[T], right: Iterable[T], key: Callable[[T], Any]) -> list[tuple[Any, T | None, T | None]]:
    """Both lists by key, in the order of the left."""
    first, second = {key(one): one for one in left}, {key(one): one for one in right}
    return [(name, first.get(name), second.get(name)) for name in dict.fromkeys((*first, *second))]
