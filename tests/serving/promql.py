"""A parser of the part of PromQL that the dashboard uses. What it does not know is an error."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)(?![\w.])|(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)|(?P<range>\[[^\]]*\])"
    r'|(?P<text>"[^"\\]*")|(?P<match>=~|!~|!=|==|>=|<=|=|>|<)|(?P<sign>[-+*/(){},]))'
)
RANGE = re.compile(r"\[(?:\$__rate_interval|\d+[smhd])(?::\d+[smhd])?\]")
AGGREGATIONS = {"sum", "min", "max", "avg", "count"}
OF_RANGES = {"rate", "increase", "changes"}
FUNCTIONS = {"histogram_quantile": 2, "time": 0, **dict.fromkeys(OF_RANGES, 1)}
OPERATORS = {"+", "-", "*", "/", ">", "<", ">=", "<=", "==", "!="}


@dataclass
class Query:
    """What a query names: metrics with the labels that it asks of each, and its legend's labels."""

    metrics: dict[str, set[str]] = field(default_factory=dict)


def parse(text: str) -> Query:
    """Parse a query.

    Raises
    ------
    ValueError : it is not one; the message has the place.
    """
    parser = _Parser(text)
    parser.expression()
    parser.expect("end")
    return parser.query


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.query, self.tokens = text, Query(), list[tuple[str, str]]()
        at = 0
        while text[at:].strip():
            found = TOKEN.match(text, at)
            if found is None:
                raise ValueError(f"{text!r}: not PromQL at {text[at : at + 20]!r}")
            kind = str(found.lastgroup)
            self.tokens.append((kind, found[kind]))
            at = found.end()
        self.tokens.append(("end", ""))
        self.by: list[set[str]] = []

    def expect(self, kind: str, *values: str) -> str:
        have, value = self.tokens[0]
        if have != kind or (values and value not in values):
            raise ValueError(f"{self.text!r}: {' or '.join(values) or kind} expected, not {value or 'the end'!r}")
        self.tokens.pop(0)
        return value

    def follows(self, *values: str) -> bool:
        return self.tokens[0][1] in values and self.tokens[0][0] in ("sign", "match", "name")

    def expression(self) -> bool:
        """Parse operands between operators; whether it is a range of time."""
        is_range = self.operand()
        while self.tokens[0][1] in OPERATORS and self.tokens[0][0] in ("sign", "match"):
            self.tokens.pop(0)
            if is_range or self.operand():
                raise ValueError(f"{self.text!r}: an operator cannot have a range")
        return is_range

    def operand(self) -> bool:
        kind, value = self.tokens[0]
        if kind == "number":
            self.tokens.pop(0)
            return False
        if self.follows("("):
            self.expect("sign", "(")
            self.expression()
            self.expect("sign", ")")
            return self.range()
        name = self.expect("name")
        if name in AGGREGATIONS:
            self.aggregation()
            return self.range()
        if self.follows("("):
            self.function(name)
            return self.range()
        asked = set().union(*self.by)
        if self.follows("{"):
            asked |= self.matchers()
        self.query.metrics.setdefault(name, set()).update(asked)
        return self.range()

    def range(self) -> bool:
        if self.tokens[0][0] != "range":
            return False
        text = self.expect("range")
        if not RANGE.fullmatch(text):
            raise ValueError(f"{self.text!r}: {text} is not a range")
        return True

    def aggregation(self) -> None:
        labels = set()
        if self.follows("by"):
            self.expect("name", "by")
            labels = self.names()
        self.by.append(labels)
        self.expect("sign", "(")
        if self.expression():
            raise ValueError(f"{self.text!r}: a range cannot be aggregated")
        self.expect("sign", ")")
        self.by.pop()

    def function(self, name: str) -> None:
        if name not in FUNCTIONS:
            raise ValueError(f"{self.text!r}: {name} is not a function")
        self.expect("sign", "(")
        arguments = [] if self.follows(")") else [self.expression()]
        while self.follows(","):
            self.expect("sign", ",")
            arguments.append(self.expression())
        self.expect("sign", ")")
        if len(arguments) != FUNCTIONS[name] or any(arguments) != (name in OF_RANGES):
            raise ValueError(f"{self.text!r}: {name} has other arguments")

    def names(self) -> set[str]:
        self.expect("sign", "(")
        found = {self.expect("name")}
        while self.follows(","):
            self.expect("sign", ",")
            found.add(self.expect("name"))
        self.expect("sign", ")")
        return found

    def matchers(self) -> set[str]:
        self.expect("sign", "{")
        found = set()
        while True:
            found.add(self.expect("name"))
            self.expect("match", "=", "!=", "=~", "!~")
            re.compile(self.expect("text").strip('"').replace("$", ""))
            if not self.follows(","):
                break
            self.expect("sign", ",")
        self.expect("sign", "}")
        return found
