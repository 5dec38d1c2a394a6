"""Names of columns and features, between the files of a folder: used and not declared, declared and not to be used.

Two files contradict each other in a name, and either may be the wrong one. The place that more of the folder agrees
with is taken as correct; the other end of the contradiction is named as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from include.mistakes.declared import Declared
from include.mistakes.problem import OtherEnd, Place, Problem, one_of
from include.mistakes.source import Source
from include.spec import Column, Known
from include.spelling import nearest, one_slip


@dataclass(frozen=True)
class Use:
    """A use or a declaration of a name; ``node`` is ``None`` for a computed one; ``who`` begins the sentence."""

    name: str
    source: Source
    node: ast.AST | None
    place: Place
    who: str

    @classmethod
    def of(cls, name: str, source: Source, node: ast.AST | None, who: str, place: Place | None = None) -> Use:
        at = source.place(node) if node is not None else place or Place(source.path)
        return cls(str(name), source, node, at, who)

    def renamed(self, name: str) -> OtherEnd:
        """This place, with the edit that makes ``name`` of it."""
        fix = None
        if isinstance(self.node, ast.Constant):
            before, _, after = self.name.partition(str(self.node.value))
            if name.startswith(before) and name.endswith(after):
                part = name[len(before) : len(name) - len(after)]
                fix = self.source.replace(self.node, self.source.quoted(self.node, part))
        return OtherEnd(self.place, f"or name it {name!r} here", fix)


def written(source: Source, name: str) -> ast.Constant | None:
    """The longest text of a file that a computed name contains, if it is most of the name."""
    texts = [n for n in source.nodes if isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value in name]
    longest = max(texts, key=lambda node: len(str(node.value)), default=None)
    return longest if longest is not None and len(str(longest.value)) > max(3, len(name) // 3) else None


def unknown(uses: Iterable[Use], given: Mapping[str, Use], taken: Iterable[str], what: str) -> Iterator[Problem]:
    """Problems of names that are used and not given.

    Parameters
    ----------
    given : the known names, each with where it is given.
    taken : known names that something else uses, so that they are not the misspelt ones.
    what : what the names are not: ``declared column``.
    """
    listed = list(uses)
    busy = {use.name for use in listed} | set(taken)
    wrong: dict[str, list[Use]] = {}
    for use in listed:
        if use.name not in given:
            wrong.setdefault(use.name, []).append(use)
    for name, places in wrong.items():
        places = sorted({use.place: use for use in places}.values(), key=lambda use: use.place)
        # A declared name that nothing uses and that is one slip away explains more than the nearest of those in use.
        near = nearest(name, [n for n in given if n not in busy and one_slip(name, n)]) or nearest(name, given)
        idle = near is not None and near not in busy
        if idle and len(places) > 1 and given[str(near)].node is not None:
            source = given[str(near)]
            ends = tuple(OtherEnd(use.place, f"{name!r} is used") for use in places)
            sentence = f"{near!r} is used nowhere, and {name!r}, which is not a {what}, is used {len(places)} times"
            fix = source.renamed(name).suggestion
            yield Problem(source.place, sentence, f"did you mean {name!r}?", suggestion=fix, also=ends)
            continue
        for use in places:
            other = (given[str(near)].renamed(name),) if idle else ()
            fix = use.renamed(str(near)).suggestion if near else None
            yield Problem(
                use.place, f"{use.who} {name!r}, which is not a {what}", one_of(name, given), suggestion=fix, also=other
            )


def declared_columns(declared: Declared) -> dict[str, Use]:
    """The declared columns, each with where its name is written."""
    found: dict[str, Use] = {}
    assert declared.model is not None and declared.run is not None
    for column in declared.model.data.columns:
        if column.name in found:  # declared twice, which is a separate mistake
            continue
        made = declared.run.made.get(id(column))
        node = declared.run.node_of(made[1].kwargs.get("name")) if made else None
        found[column.name] = Use.of(column.name, declared.run.source, node or declared.node_of(column), "declared")
    return found


def leaks(uses: Iterable[Use], declared: Declared) -> Iterator[Problem]:
    """Columns that `features.build` reads although they are known only after the event."""
    assert declared.model is not None and declared.run is not None
    after = {c.name: c for c in declared.model.data.columns if c.known is Known.AFTER}
    before = [c.name for c in declared.model.data.columns if c.known is Known.BEFORE]
    for use in uses:
        if use.name not in after:
            continue
        column = after[use.name]
        what = f'{use.who} {use.name!r}, which is declared known="after": it would leak the label'
        near = nearest(use.name, before) if use.name == declared.model.data.label.column else None
        hint = (
            f"did you mean {near!r}?"
            if near
            else 'leave it out; if it is known before the event, declare known="before"'
        )
        yield Problem(use.place, what, hint, also=_known_of(column, declared))


def _known_of(column: Column, declared: Declared) -> tuple[OtherEnd, ...]:
    assert declared.run is not None
    made = declared.run.made.get(id(column))
    keyword = made[1].keyword("known") if made else None
    if keyword is None:
        node = declared.node_of(column)
        return (OtherEnd(declared.run.source.place(node), "declared here"),) if node is not None else ()
    fix = declared.run.source.replace(keyword.value, '"before"')
    return (OtherEnd(declared.run.source.place(keyword), 'or declare known="before" here', fix),)


def unmentioned(source: Source, given: Mapping[str, Use]) -> Iterator[Problem]:
    """Declared columns that `source.py` does not name, if it has another name that is one slip away."""
    texts = {n.value: n for n in source.nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    for name, use in given.items():
        if name in texts or len(name) < 4:
            continue
        near = nearest(name, [t for t in texts if abs(len(t) - len(name)) < 2 and t not in given])
        if near and (sorted(near) == sorted(name) or len(near) != len(name)) and _slip(name, near):
            other = Use.of(near, source, texts[near], "").renamed(name)
            what = f"column {name!r} is named nowhere in source.py, which has {near!r}"
            fix = use.renamed(near).suggestion
            yield Problem(use.place, what, f"did you mean {near!r}?", "warning", fix, (other,))


def _slip(one: str, other: str) -> bool:
    """Whether two names share all but one letter, or differ by two that changed places."""
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) == len(longer):
        return sum(a != b for a, b in zip(one, other, strict=True)) == 2
    return any(longer[:n] + longer[n + 1 :] == shorter for n in range(len(longer)))
