"""Makes declared objects (pydantic's, of either generation) and places every field that they refuse at its argument.

A refused object is made nevertheless, as far as possible, so that what is built from it is checked as well.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from include.errors import Finding, Misdeclared
from include.mistakes.instrumenting import Placed
from include.mistakes.problem import OtherEnd, Problem, Suggestion, one_of
from include.mistakes.running import Site, Traced
from include.spelling import nearest

ROUNDS = 4  # an object with one mistake fixed can show the next one


@dataclass(frozen=True)
class Refusal:
    """One error of a pydantic class, of either generation."""

    type: str = ""
    loc: tuple[Any, ...] = ()
    msg: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, error: Mapping[str, Any]) -> Refusal:
        return cls(error["type"], tuple(error["loc"]), str(error["msg"]), error.get("ctx") or {})


class Broken:
    """Stands for an object that could not be made at all. It has no attributes, so that nothing more is reported."""


def construct(run: Traced, site: Site) -> Any:
    """Call a pydantic class; what it refuses is added to the run's problems."""
    cls, kwargs = site.function, dict(site.kwargs)
    lost: set[str] = set()
    if site.args:
        for node, name, value in zip(site.node.args, _fields(cls), site.args, strict=False):
            at = site.source.place(node)
            fix = Suggestion(at, at, f"{name}=")
            what = f"{cls.__name__} takes keywords only"
            run.problems.append(Problem(at, what, f"did you mean {name}=...?", suggestion=fix))
            kwargs.setdefault(name, value)
    for _ in range(ROUNDS):
        try:
            made = cls(**kwargs)
        except Exception as error:
            if not hasattr(error, "errors"):
                break  # a validator met an object that is broken already
            before = dict(kwargs)
            _correct(run, site, kwargs, [Refusal.of(one) for one in error.errors()], lost)
            if kwargs == before:
                break
        else:
            run.made[id(made)] = (made, site)
            run.lost[id(made)] = lost
            return made
    made = cls.model_construct(**kwargs) if hasattr(cls, "model_construct") else Broken()
    run.made[id(made)] = (made, site)
    run.lost[id(made)] = lost
    return made


def _parts(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (tuple, list)) else (value,)


def _correct(run: Traced, site: Site, kwargs: dict[str, object], errors: Sequence[Refusal], lost: set[str]) -> None:
    """Record the errors of one try and change ``kwargs`` so that the next one gets further."""
    seen: set[Any] = set()
    fields = _fields(site.function)
    for error in errors:
        loc = error.loc
        cause = error.context.get("error")
        if isinstance(cause, Misdeclared):
            for finding in cause.findings:
                _found(run, site, kwargs, Finding(loc + finding.where, *_rest(finding)), lost)
        elif error.type in ("extra_forbidden", "value_error.extra"):
            _found(run, site, kwargs, _unknown(site.function, str(loc[0]), fields), lost)
        elif not loc or loc[0] == "__root__":
            if len(errors) == 1:
                what = f"{site.function.__name__}: {_message(error)}"
                run.problems.append(Problem(site.source.place(site.node), what))
        elif loc[0] not in seen:
            seen.add(loc[0])
            if not (_lacks(error) and _renamed(kwargs, loc[0], fields)):
                _refused(run, site, error, loc)
                _replace(site.function, kwargs, str(loc[0]), error, lost)


def _lacks(error: Refusal) -> bool:
    return error.type in ("missing", "value_error.missing")


def _rest(finding: Finding) -> tuple[Any, ...]:
    return finding.what, finding.wrong, finding.known, finding.wanted, finding.excess


def _unknown(cls: type, key: str, fields: Iterable[str]) -> Finding:
    return Finding((key,), f"{cls.__name__} has no {key!r}", key, tuple(fields))


def _renamed(kwargs: dict[str, object], name: Any, fields: Iterable[str]) -> bool:
    """Whether a missing field was given under a misspelt name (which is reported separately)."""
    return any(key not in fields and nearest(key, set(fields) - set(kwargs)) == name for key in kwargs)


def _found(run: Traced, site: Site, kwargs: dict[str, object], finding: Finding, lost: set[str]) -> None:
    """Record a finding."""
    key = str(finding.where[0]) if finding.where else ""
    if key and key not in _fields(site.function):
        _unknown_key(run, site, kwargs, key, finding)
        return
    node, owner, lacking = locate(run, site, finding.where)
    children = [part for value in kwargs.values() for part in _parts(value)]
    if finding.where and finding.where[-1] in run.lost.get(id(owner), ()):
        return  # follows from a mistake that is already recorded
    if finding.wrong is not None and any("name" in run.lost.get(id(child), ()) for child in children):
        return  # it may be the name that was lost
    source = site.source
    fix: Suggestion | None = None
    near: str | None = None
    hint = f"wanted: {finding.wanted}" if finding.wanted else ""
    if finding.wrong is not None:
        near = nearest(finding.wrong, finding.known) or (finding.known[0] if finding.known else None)
        hint = one_of(finding.wrong, finding.known)
        if near and not lacking:
            fix = source.replace(node, source.quoted(node, near))
    elif finding.excess:
        keyword = site.keyword(key) if len(finding.where) == 1 else None
        fix = source.without(keyword or node)
        hint = "remove it"
    elif finding.wanted and lacking and isinstance(node, ast.Call):
        fix = source.add_argument(node, f"{lacking}={finding.wanted}")
        hint = f"add {lacking}={finding.wanted}"
    elif finding.wanted:
        fix = source.replace(node, finding.wanted)
    elif len(finding.where) == 1:
        fix, hint = _default_instead(site, key, node)
    also = _other_end(run, children, near, finding.wrong) if finding.wrong is not None else ()
    run.problems.append(Problem(source.place(node), finding.what, hint, suggestion=fix, also=also))
    if len(finding.where) == 1:
        near = nearest(finding.wrong, finding.known) if finding.wrong is not None else None
        _replace(site.function, kwargs, key, Refusal(context={"expected": repr(near)} if near else {}), lost)


def _other_end(run: Traced, children: Sequence[Any], near: str | None, wrong: str) -> tuple[OtherEnd, ...]:
    """Where the name that was probably meant is given to a part: the mistake may be there instead."""
    for child in children:
        made = run.made.get(id(child))
        name = made[1].kwargs.get("name") if made and getattr(child, "name", None) == near else None
        if isinstance(name, Placed):
            fix = run.source.replace(name.node, run.source.quoted(name.node, wrong))
            return (OtherEnd(run.source.place(name.node), f"or name that {wrong!r}", fix),)
    return ()


def _unknown_key(run: Traced, site: Site, kwargs: dict[str, object], key: str, finding: Finding) -> None:
    """A keyword that the class does not have; the nearest one that is not given takes its value."""
    fields = _fields(site.function)
    near = nearest(key, set(fields) - set(kwargs))
    value = kwargs.pop(key)
    if near:
        kwargs[near] = value
    keyword = site.keyword(key)
    hint = one_of(key, [near] if near else fields)
    if keyword is None:
        run.problems.append(Problem(site.source.place(site.node), finding.what, hint))
        return
    fix = site.source.rename(keyword, key, near) if near else site.source.without(keyword)
    run.problems.append(Problem(site.source.place(keyword), finding.what, hint, suggestion=fix))


def _refused(run: Traced, site: Site, error: Refusal, loc: tuple[Any, ...]) -> None:
    """Record one field that pydantic refuses."""
    cls, source, name = site.function, site.source, str(loc[0])
    if _lacks(error):
        example = _example(cls, name)
        what, hint = f"{cls.__name__} lacks {name!r}", f"add {name}={example}"
        run.problems.append(Problem(source.place(site.node), what, hint))
        return
    node, _, _ = locate(run, site, loc)
    value = site.kwargs.get(name)
    allowed = _allowed(error)
    what = f"{cls.__name__}.{name} is {_shown(value)}: {_message(error)}"
    wrong = value if isinstance(value, str) else None
    if allowed:
        near = nearest(wrong, allowed) if wrong else None
        fix = source.replace(node, source.quoted(node, near)) if near else None
        hint = f"did you mean {near!r}?" if near else f"wanted one of {', '.join(allowed)}"
        if fix is None:
            fix, other = _default_instead(site, name, node)
            hint = f"{hint}; {other}" if other else hint
    else:
        fix, hint = _default_instead(site, name, node)
        hint = hint or f"wanted: {_example(cls, name)}"
    run.problems.append(Problem(source.place(node), what, hint, suggestion=fix))


def locate(run: Traced, site: Site, where: Sequence[str | int]) -> tuple[ast.AST, Any, str]:
    """The node of a value, the object that it belongs to, and the name of the argument if that was not given."""
    source = site.source
    node: ast.AST = site.node
    owner: Any = None
    here: Site | None = site
    value: Any = None
    for step in where:
        if isinstance(step, str):
            if here is None or step not in here.kwargs:
                known = here is not None and step in _fields(here.function)
                return node, owner, step if known else ""
            keyword = here.keyword(step)
            value = here.kwargs[step]
            node = source.resolved(keyword.value) if keyword is not None else here.node
            here = None
        else:
            parts = list(value) if isinstance(value, (tuple, list)) else []
            if step >= len(parts):
                break
            literal = isinstance(node, (ast.Tuple, ast.List)) and not any(isinstance(e, ast.Starred) for e in node.elts)
            value = parts[step]
            node = source.resolved(node.elts[step]) if literal else node  # type: ignore[attr-defined]
        if isinstance(value, Placed):
            node = value.node
        elif id(value) in run.made:
            owner, here = run.made[id(value)]
            node = here.node
    return node, owner, ""


def _default_instead(site: Site, name: str, node: ast.AST) -> tuple[Suggestion | None, str]:
    """Replacing an argument by its default, if that can be written as Python; otherwise leaving the argument out."""
    field = _field(site.function, name)
    if field is None or _required(field):
        return None, ""
    default = _source_of(getattr(field, "default", None))
    if default is None:
        keyword = site.keyword(name)
        return (site.source.without(keyword) if keyword else None), "leave it out"
    return site.source.replace(node, default), f"wanted: {_type(field)}, e.g. {default}"


def _allowed(error: Refusal) -> list[str]:
    """The values that an enum or literal accepts, from its error."""
    context = error.context
    members = [str(getattr(v, "value", v)) for v in context.get("enum_values", ())]
    return members or re.findall(r"'([^']*)'", str(context.get("expected", "")))


def _replace(cls: Any, kwargs: dict[str, object], name: str, error: Refusal, lost: set[str]) -> None:
    """Replace a refused or missing value by one that is accepted."""
    field = _field(cls, name)
    value = kwargs.get(name)
    near = nearest(value, _allowed(error)) if isinstance(value, str) else None
    if near:
        kwargs[name] = near
        return
    lost.add(name)
    if field is None or not _required(field):
        kwargs.pop(name, None)
    else:
        annotation = getattr(field, "annotation", None)
        members = getattr(annotation, "__members__", None)
        stand_ins: dict[Any, Any] = {str: f"{name}_of_line_{id(kwargs)}", date: date(2000, 1, 1)}
        kwargs[name] = next(iter(members.values())) if members else stand_ins.get(annotation, value)


def _source_of(default: Any) -> str | None:
    """A default as Python that needs no import."""
    value = getattr(default, "value", default)
    if isinstance(value, str):
        return '"' + repr(value)[1:-1] + '"'
    return repr(value) if isinstance(value, (int, float, tuple)) else None


def _fields(cls: Any) -> tuple[str, ...]:
    found = getattr(cls, "model_fields", None) or getattr(cls, "__fields__", {})
    return tuple(found)


def _field(cls: Any, name: str) -> Any:
    return (getattr(cls, "model_fields", None) or getattr(cls, "__fields__", {})).get(name)


def _required(field: Any) -> bool:
    required = getattr(field, "is_required", None)
    return bool(required()) if required else bool(getattr(field, "required", True))


def _type(field: Any) -> str:
    annotation = getattr(field, "annotation", None) or getattr(field, "outer_type_", None)
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return re.sub(r"\b(typing|datetime|include\.spec|include\.partitions)\.", "", text)


def _example(cls: Any, name: str) -> str:
    """What an argument must be, for a person: members of an enum, else the type."""
    field = _field(cls, name)
    members = getattr(getattr(field, "annotation", None), "__members__", None)
    if members:
        return " | ".join(f'"{m.value}"' for m in members.values())
    fields = _fields(getattr(field, "annotation", None))
    return f"{_type(field)}(...)" if fields else f"<{_type(field)}>"


def _usage(cls: Any) -> str:
    return f"{cls.__name__}({', '.join(f'{n}=...' for n in _fields(cls) if _required(_field(cls, n)))})"


def _message(error: Refusal) -> str:
    return str(error.msg).removeprefix("Value error, ").removeprefix("Input ")


def _shown(value: Any) -> str:
    text = repr(str(value)) if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
