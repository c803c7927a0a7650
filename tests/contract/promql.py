"""What a PromQL expression names: metrics and labels. Enough of the language for our rules and panels.

Whoever writes an expression that this cannot take apart gets an error, not silence.
"""

import re
from itertools import pairwise
from typing import NamedTuple

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<duration>\[[^\]]*\])
    |(?P<number>\d[\w.]*|\.\d+)
    |(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
    |(?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},])""",
    re.VERBOSE,
)
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"})
_MATCHES = frozenset({"=", "!=", "=~", "!~"})
_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})


class Named(NamedTuple):
    """`selectors`: metric and the labels that are matched on it; `grouped`: labels in `by (…)` and the like."""

    selectors: tuple[tuple[str, frozenset[str]], ...]
    grouped: frozenset[str]

    @property
    def metrics(self) -> frozenset[str]:
        return frozenset(metric for metric, _ in self.selectors)


def named(expression: str) -> Named:
    """Raises ValueError for what is no token of the language, and for a selector without a metric's name."""
    tokens = _tokens(expression)
    selectors: list[tuple[str, frozenset[str]]] = []
    grouped: set[str] = set()
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if text == "{":
            raise ValueError(f"a selector without a metric's name in {expression!r}")
        if kind != "name" or text.lower() in _WORDS:
            at += 1
        elif text in _LISTS:
            inner, at = _until(tokens, at + 1, "(", ")") if following == "(" else ([], at + 1)
            grouped |= {word for kind_, word in inner if kind_ == "name"}
        elif following == "{":
            inner, at = _until(tokens, at + 1, "{", "}")
            pairs = pairwise(inner)
            matched = {name for (kind_, name), (_, sign) in pairs if kind_ == "name" and sign in _MATCHES}
            selectors.append((text, frozenset(matched)))
        else:
            at += 1
            if following not in ("(", "by", "without"):  # else a function, or an aggregation
                selectors.append((text, frozenset()))
    return Named(tuple(selectors), frozenset(grouped))


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if not match:
            raise ValueError(f"no PromQL: {expression[at : at + 20]!r}")
        at = match.end()
        if match.lastgroup != "space":
            found.append((str(match.lastgroup), match[0]))
    return found


def _until(tokens: list[tuple[str, str]], at: int, opening: str, closing: str) -> tuple[list[tuple[str, str]], int]:
    """The tokens between two brackets, of which the first is at `at`; and the place behind the second."""
    assert tokens[at][1] == opening
    for end in range(at, len(tokens)):
        if tokens[end][1] == closing:
            return tokens[at + 1 : end], end + 1
    raise ValueError(f"{opening} without {closing}")
