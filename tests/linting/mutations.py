"""Makes mistakes automatically, from the syntax trees of a valid model folder, and records the place of each.

A change that is not a mistake is left out by a rule, never by a list of cases: a free text (a description), a name that
no other file knows, or a value that an independent judge (pydantic's field, croniter, scikit-learn's constraints) still
accepts.
"""

from __future__ import annotations

import ast
import importlib
import io
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import available_timezones

from croniter import croniter
from pydantic import TypeAdapter, ValidationError
from sklearn.utils._param_validation import StrOptions

from include import catalog
from tests.linting.mutants import FILES, PARTS, RUN, Folder, Mutant


def mutants(path: Path, seed: int = 0) -> list[Mutant]:
    """Return all mistakes that the makers below can make in this folder."""
    folder = Folder.read(path, seed)
    return [mutant for maker in MAKERS for mutant in maker(folder)]


def keywords(folder: Folder) -> Iterator[Mutant]:
    """Misspell each keyword of each call. A call that takes any keyword cannot have a wrong one."""
    for file in RUN:
        needing_data = folder.of_methods(file)
        for call in folder.calls(file):
            if getattr(call.func, "id", "") == "dict" or id(call) in needing_data:
                continue
            for keyword in call.keywords:
                if keyword.arg:
                    start, _ = folder.span(file, keyword)
                    yield from folder.typos("keyword", file, start, keyword.arg, keyword.lineno)


def columns(folder: Folder) -> Iterator[Mutant]:
    """Misspell each name of a column or feature. A name that no other file uses can be anything."""
    data = folder.model.data
    declared = {c.name for c in data.columns}
    roles = {*data.key, data.event_time, data.label.column}
    features = {s.value for s in folder.strings("features")} & {s.value for s in folder.strings("candidates")}
    for file in RUN:
        known = declared | features if file in ("features", "candidates") else declared
        others = tuple(f for f in RUN if f != file)
        given = _features_given(folder) if file == "features" else set()
        named = _candidate_names(folder) if file == "candidates" else set()
        for node in folder.strings(file):
            if id(node) in named:
                continue  # a candidate can have any name, also that of a feature
            role = file == "model" and node.value in roles
            if id(node) in given and not folder.named_in(node.value, ("candidates",)):
                continue  # a feature that no candidate names can have any name
            if node.value in known and (role or folder.named_in(node.value, others)):
                start = folder.span(file, node)[0] + 1
                for mutant in folder.typos("column", file, start, str(node.value), node.lineno):
                    if mutant.text not in known:
                        yield mutant


def _candidate_names(folder: Folder) -> set[int]:
    """Return the ids of the keys of the dicts in candidates.py."""
    dicts = [n for n in ast.walk(folder.trees["candidates"]) if isinstance(n, ast.Dict)]
    return {id(key) for of in dicts for key in of.keys}


def function_names(folder: Folder) -> Iterator[Mutant]:
    """Misspell the name of the required function of each file, in its definition."""
    for file, node in _functions(folder):
        start = folder.span(file, node)[0] + len("def ")
        yield from folder.typos("function", file, start, node.name, node.lineno)


def names(folder: Folder) -> Iterator[Mutant]:
    """Misspell each use of a name that the file itself defines or imports."""
    for file in FILES:
        tree, skipped = folder.trees[file], folder.annotations(file)
        known = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                known |= {a.asname or a.name for a in node.names}
            if isinstance(node, ast.Assign):
                known |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        bound |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
        loads = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
        for load in loads:
            if load.id in known and id(load) not in skipped and len(load.id) > 1:
                for mutant in folder.typos("name", file, folder.span(file, load)[0], load.id, load.lineno):
                    if mutant.text not in known | bound:
                        yield mutant


def attributes(folder: Folder) -> Iterator[Mutant]:
    """Misspell members of enums in model.py, and names in modules elsewhere (``np.asarray``, ``gxe.Expect...``)."""
    for file in RUN:
        owners, skipped = {"ColumnType", "Known", "Task"}, folder.annotations(file)
        for node in folder.trees[file].body:
            owners |= {a.asname or a.name for a in node.names} if isinstance(node, ast.Import) else set()
        for part in ast.walk(folder.trees[file]):
            if isinstance(part, ast.Attribute) and getattr(part.value, "id", "") in owners and id(part) not in skipped:
                start = folder.span(file, part)[1] - len(part.attr)
                kind = "enum member" if file == "model" else "attribute"
                yield from folder.typos(kind, file, start, part.attr, part.end_lineno)


def choices(folder: Folder) -> Iterator[Mutant]:
    """Misspell texts with a few valid values: severities, metrics, timezone, the model's name, estimator parameters."""
    few = {"severity", "metric", "baseline_metric", "timezone", "window_days"}
    for file in ("model", "expectations", "candidates"):
        namespace = vars(importlib.import_module(f"include.models.{folder.name}.{file}"))
        for call in folder.calls(file):
            called = getattr(call.func, "id", "")
            constraints = getattr(namespace.get(called), "_parameter_constraints", {})
            for keyword in call.keywords:
                limits = constraints.get(keyword.arg, ())
                limited = isinstance(limits, list) and any(isinstance(limit, StrOptions) for limit in limits)
                own_name = called == "Model" and keyword.arg == "name"
                text = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                if isinstance(text, str) and (limited or own_name or keyword.arg in few):
                    start = folder.span(file, keyword.value)[0] + 1
                    made = folder.typos("choice", file, start, text, keyword.value.lineno)
                    yield from (m for m in made if m.text not in available_timezones())  # UCT is a timezone, too


def schedules(folder: Folder) -> Iterator[Mutant]:
    """Make cron expressions with a field too many, too few or out of range; croniter judges which are invalid."""
    for _, _, keyword in folder.declarations():
        if keyword.arg == "schedule" and isinstance(keyword.value, ast.Constant):
            parts = str(keyword.value.value).split()
            for n, wrong in enumerate(("60", "24", "32", "13", "8")):
                for broken in ([*parts[:n], wrong, *parts[n + 1 :]], parts[:n] + parts[n + 1 :], [*parts, wrong]):
                    text = " ".join(broken)
                    if len(broken) != 5 or not croniter.is_valid(text):
                        yield folder.replaced("cron", "model", keyword.value, " ".join(parts), f'"{text}"')


def gaps(folder: Folder) -> Iterator[Mutant]:
    """Leave out each required argument."""
    for file in ("model", "expectations"):
        for call in folder.calls(file):
            required = {"column"} if _expectation(call) else _required(getattr(call.func, "id", ""))
            for n, keyword in enumerate(call.keywords):
                if keyword.arg in required:
                    start, end = folder.span(file, keyword)
                    if n + 1 < len(call.keywords):
                        end = folder.span(file, call.keywords[n + 1])[0]
                    elif n:
                        start = folder.span(file, call.keywords[n - 1])[1]
                    yield Mutant("gap", file, call.lineno, str(keyword.arg), start, end, "", named=True)


def files(folder: Folder) -> Iterator[Mutant]:
    """Leave out each file."""
    for file in FILES:
        yield Mutant("file", file, 1, f"{file}.py", drop=True, named=True)


def arities(folder: Folder) -> Iterator[Mutant]:
    """Add an argument to each required function, and leave out each of its arguments."""
    for file, node in _functions(folder):
        text = folder.texts[file]
        start = text.index("(", folder.span(file, node)[0]) + 1
        given = [text[slice(*folder.span(file, argument))] for argument in node.args.args]
        end = text.index(")", folder.span(file, node.args.args[-1])[1] if given else start)
        wanted = catalog.FILES[file][1]
        yield Mutant("arity", file, node.lineno, ", ".join(wanted), start, end, ", ".join([*given, "extra"]))
        for n, argument in enumerate(node.args.args):
            left = ", ".join([*given[:n], *given[n + 1 :]])
            yield Mutant("arity", file, node.lineno, argument.arg, start, end, left)


def types(folder: Folder) -> Iterator[Mutant]:
    """Give each argument of a declaration a value of another type; the field itself judges whether it is invalid."""
    for part, _, keyword in folder.declarations():
        info = PARTS[part].model_fields[str(keyword.arg)]
        annotation: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        judge: TypeAdapter[Any] = TypeAdapter(annotation)
        for text in ("1j", '"many words"', "-7", "[None]"):
            try:
                judge.validate_python(ast.literal_eval(text))
            except ValidationError:
                yield folder.replaced("type", "model", keyword.value, str(keyword.arg), text, named=True)


def doubles(folder: Folder) -> Iterator[Mutant]:
    """Repeat columns, parts of the key, keywords, entries of a dict, functions and expectations."""
    listed = {id(e) for n in ast.walk(folder.trees["model"]) if isinstance(n, ast.Tuple | ast.List) for e in n.elts}
    for call in folder.calls("model"):
        name = getattr(call.func, "id", "")
        if name == "Column" and id(call) in listed:
            yield folder.again("double column", "model", call)
        for keyword in call.keywords if name in PARTS else ():
            yield folder.again("double keyword", "model", keyword)
            if keyword.arg == "key" and isinstance(keyword.value, ast.Tuple):
                for element in keyword.value.elts:
                    yield folder.again("double key", "model", element)
    for node in ast.walk(folder.trees["expectations"]):
        for element in node.elts if isinstance(node, ast.List) else ():
            if isinstance(element, ast.Call) and _expectation(element):
                yield folder.again("double expectation", "expectations", element)
    for file in ("features", "candidates"):
        for node in ast.walk(folder.trees[file]):
            for key, value in zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ():
                if isinstance(key, ast.Constant):
                    start, end = folder.span(file, key)[0], folder.span(file, value)[1]
                    entry = folder.texts[file][start:end]
                    yield Mutant("double entry", file, value.end_lineno or 1, entry, end, end, f", {entry}")
    for file, function in _functions(folder):
        whole = folder.texts[file].rstrip("\n")
        text = "\n\n\n" + whole[slice(*folder.span(file, function))]
        yield Mutant("double function", file, whole.count("\n") + 4, function.name, len(whole), len(whole), text)


def syntax(folder: Folder) -> Iterator[Mutant]:
    """Put a stray sign before a token of each line, remove the colon of a `def`, put a blank before a statement."""
    quiet = {"COMMENT", "NL", "NEWLINE", "INDENT", "DEDENT", "ENDMARKER", "FSTRING_MIDDLE", "FSTRING_END"}
    for file in FILES:
        text = folder.texts[file]
        starts = [0]
        for row in text.split("\n"):
            starts.append(starts[-1] + len(row) + 1)
        tokens: dict[int, list[int]] = {}
        within = 0  # depth of f-strings, whose parts are tokens since Python 3.12
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            kind = tokenize.tok_name[token.type]
            if kind not in quiet and not within:
                tokens.setdefault(token.start[0], []).append(starts[token.start[0] - 1] + token.start[1])
            within += (kind == "FSTRING_START") - (kind == "FSTRING_END")
        for line, offsets in tokens.items():
            at = folder.random.choice(offsets)
            yield Mutant("syntax", file, line, "", at, at, folder.random.choice("?$") + " ")
        for node in ast.walk(folder.trees[file]):
            if isinstance(node, ast.FunctionDef):
                at = text.rindex(":", 0, folder.span(file, node.body[0])[0])
                yield Mutant("syntax", file, text.count("\n", 0, at) + 1, ":", at, at + 1, "")
        for node in folder.trees[file].body[1:]:
            start, _ = folder.span(file, node)
            yield Mutant("syntax", file, node.lineno, "", start, start, " ")


def knowledge(folder: Folder) -> Iterator[Mutant]:
    """Declare the label as known before, and a column of the key, or one that features read, as known after."""
    made = _features_given(folder)
    read = {s.value for s in folder.strings("features") if id(s) not in made}  # a feature can have the name of a column
    data = folder.model.data
    for call in folder.calls("model"):
        if getattr(call.func, "id", "") != "Column":
            continue
        given = {k.arg: k for k in call.keywords}
        name = getattr(given["name"].value, "value", None)
        if name == data.label.column:
            yield folder.replaced("known", "model", given["known"].value, "after", "Known.BEFORE")
        elif "known" not in given and (name in read or name in (*data.key, data.event_time)):
            _, end = folder.span("model", call.keywords[-1])
            line = call.keywords[-1].end_lineno or 1
            yield Mutant("known", "model", line, "", end, end, ", known=Known.AFTER")


def baselines(folder: Folder) -> Iterator[Mutant]:
    """Remove the baseline, and add a second one."""
    for call in folder.calls("candidates"):
        if getattr(call.func, "id", "") != "Candidate":
            continue
        marked = next((k for k in call.keywords if k.arg == "baseline"), None)
        last = [*call.args, *(k.value for k in call.keywords if k is not marked)][-1]
        behind = folder.span("candidates", last)[1]
        if marked is not None:
            end = folder.span("candidates", marked)[1]
            yield Mutant("baseline", "candidates", call.lineno, "baseline=True", behind, end, "")
        else:
            line = last.end_lineno or 1
            yield Mutant("baseline", "candidates", line, "", behind, behind, ", baseline=True")


def imports(folder: Folder) -> Iterator[Mutant]:
    """Misspell each imported name and module; in model.py, also import modules that do not belong there."""
    for file in FILES:
        for node in folder.trees[file].body:
            for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
                yield from folder.typos("import", file, folder.span(file, alias)[0], alias.name, alias.lineno)
            module = getattr(node, "module", None) or "__future__"
            if module != "__future__" and f".{folder.name}." not in module:
                start = folder.span(file, node)[0] + len("from ")
                yield from folder.typos("import", file, start, module, node.lineno)
    first = folder.trees["model"].body[1]
    start, _ = folder.span("model", first)
    for heavy in ("pandas", "numpy", "sklearn.linear_model", "airflow", "include.catalog"):
        yield Mutant("heavy import", "model", first.lineno, heavy, start, start, f"import {heavy}\n")


def clocks(folder: Folder) -> Iterator[Mutant]:
    """Declare a start that changes with every parse."""
    for part, _, keyword in folder.declarations():
        if part == "Model" and keyword.arg == "start":
            for text in ("date.today()", "date.fromtimestamp(__import__('time').time())"):
                yield folder.replaced("clock", "model", keyword.value, "date(", text, named=True)


def targets(folder: Folder) -> Iterator[Mutant]:
    """Replace each encoder of texts by one that infers the kind of target from the values of the label."""
    for call in folder.calls("candidates"):
        if getattr(call.func, "id", "") in ("OneHotEncoder", "OrdinalEncoder"):
            text = '__import__("sklearn.preprocessing").preprocessing.TargetEncoder()'
            yield folder.replaced("target type", "candidates", call, "target_type", text)


MAKERS: tuple[Callable[[Folder], Iterator[Mutant]], ...] = (
    *(keywords, columns, function_names, names, attributes, choices, schedules, gaps, files, arities, types, doubles),
    *(syntax, knowledge, baselines, imports, clocks, targets),
)


def _functions(folder: Folder) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the required function of each file."""
    for file, (function, _) in catalog.FILES.items():
        for node in folder.trees[file].body:
            if isinstance(node, ast.FunctionDef) and node.name == function:
                yield file, node


def _features_given(folder: Folder) -> set[int]:
    """Return the ids of the texts in features.py that name a feature: keys of a dict, or of an assignment to one."""
    found: set[int] = set()
    for node in ast.walk(folder.trees["features"]):
        if isinstance(node, ast.Dict):
            found |= {id(key) for key in node.keys}
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            found.add(id(node.slice))
    return found


def _required(part: str) -> set[str]:
    return {n for n, f in PARTS[part].model_fields.items() if f.is_required()} if part in PARTS else set()


def _expectation(call: ast.Call) -> bool:
    """Return whether the call makes an expectation and names its column in the call itself."""
    given = [k for k in call.keywords if k.arg == "column"]
    made = getattr(call.func, "attr", "").startswith("Expect")
    return made and bool(given) and isinstance(given[0].value, ast.Constant)
