"""Runs `suite()` of a folder: what it returns, the columns that its expectations name, patterns that are none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.row_conditions import Column

from include.linting.columns import Use, written
from include.mistakes.constructing import construct
from include.mistakes.problem import Problem
from include.mistakes.running import Site, Traced

COLUMNS = ("column", "column_A", "column_B", "column_list", "column_set")


class Suite:
    """The expectations of a folder, what is wrong with them, and the columns that they name."""

    def __init__(self, run: Traced, function: ast.FunctionDef | None) -> None:
        self.run, self.function = run, function
        self.returned: Any = run.call("suite") if function is not None else []
        self.sites = {id(made): site for made, site in run.made.values()}
        found = self.returned if isinstance(self.returned, (list, tuple)) else []
        self.expectations = [e for e in found if isinstance(e, Expectation)]

    def problems(self) -> Iterator[Problem]:
        """What is wrong, in addition to the names of columns and to what the run itself has recorded."""
        wanted = "wanted: a list of great_expectations.expectations, e.g. [gxe.ExpectColumnValuesToNotBeNull(...)]"
        if self.run.failed or self.function is None:
            return
        place = self.run.source.place(self.function)
        if not isinstance(self.returned, (list, tuple)):
            yield Problem(place, f"suite() returns {type(self.returned).__name__}", wanted)
            return
        if not self.returned:
            yield Problem(place, "suite() returns no expectation: any data would pass", wanted, "warning")
        for item in self.returned:
            made = id(item) in self.run.made  # an expectation that could not be made has its problem already
            if not isinstance(item, Expectation) and not made:
                node = self.run.node_of(item)
                where = self.run.source.place(node) if node is not None else place
                yield Problem(where, f"suite() returns {item!r} among its expectations", wanted)
        yield from self._doubled()
        for item in self.expectations:
            yield from self._pattern(item)

    def uses(self) -> list[Use]:
        """Every column that an expectation, or the condition of one, names."""
        found = []
        for made, site in self.run.made.values():
            if isinstance(made, Expectation):
                for field in COLUMNS:
                    found += self._names(site, site.kwargs.get(field))
            elif isinstance(made, Column):
                found += self._names(site, site.kwargs.get("name", site.args[0] if site.args else None))
        return found

    def _names(self, site: Site, value: Any) -> list[Use]:
        values = value if isinstance(value, (list, tuple, set)) else [value]
        who = "an expectation names"
        at = self.run.source.place(site.node)
        texts = [v for v in values if isinstance(v, str)]
        nodes = {v: self.run.node_of(v) or written(self.run.source, v) for v in texts}
        return [Use.of(v, self.run.source, nodes[v], who, at) for v in texts]

    def _doubled(self) -> Iterator[Problem]:
        seen: dict[str, int] = {}
        for item in self.expectations:
            made = self.run.made.get(id(item))
            config = item.configuration
            text = repr((config.type, sorted((k, repr(v)) for k, v in config.kwargs.items())))
            if made and text in seen:
                what = f"the same expectation is in line {seen[text]} already"
                fix = self.run.source.without(made[1].node)
                yield Problem(self.run.source.place(made[1].node), what, "remove one", "warning", fix)
            elif made:
                seen[text] = made[1].node.lineno

    def _pattern(self, item: Expectation) -> Iterator[Problem]:
        pattern = getattr(item, "regex", None)
        if not isinstance(pattern, str):
            return
        try:
            re.compile(pattern)
        except re.error as error:
            made = self.run.made.get(id(item))
            given = made[1].kwargs.get("regex") if made else None
            node = self.run.node_of(given) or (made[1].node if made else self.function)
            if node is not None:
                what = f"{pattern!r} is not a regular expression: {error}"
                yield Problem(self.run.source.place(node), what, "wanted: a pattern as Python's `re` takes it")


def watch(run: Traced, site: Site) -> Any:
    """Makes expectations so that what they refuse is placed at the argument."""
    ours = isinstance(site.function, type) and issubclass(site.function, Expectation)
    return construct(run, site) if ours else NotImplemented
