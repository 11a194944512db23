"""Where a Lua file can be changed: operators of our own, because no kept library mutates Lua.

They work on tokens, so that strings and comments stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

import msgspec

from harness.defects.mutants.mutant import Place, other_numbers

_TOKEN: Final = re.compile(
    r"(?P<comment>--\[\[.*?\]\]|--[^\n]*)"
    r"|(?P<string>'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\")"
    r"|(?P<number>\b\d+(?:\.\d+)?\b)"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<symbol>==|~=|<=|>=|\.\.\.|\.\.|[-+*/%^#<>=(){}\[\];:,.])",
    re.DOTALL,
)
COMPARISONS: Final = {
    "==": ("~=",),
    "~=": ("==",),
    "<": ("<=", ">"),
    "<=": ("<", ">="),
    ">": (">=", "<"),
    ">=": (">", "<="),
}
ARITHMETIC: Final = {"+": "-", "-": "+", "*": "/", "/": "*"}
LOGIC: Final = {"and": "or", "or": "and", "true": "false", "false": "true"}
_SIZE: Final = re.compile(r"^local [A-Z][A-Z_]* = [\d.* ]+$", re.MULTILINE)
"""A named amount (docs/trust.md): it is not drawn."""
_OPERAND_ENDS: Final = frozenset(")]}")
_CALL: Final = re.compile(r"^(?P<indent> *)(?:redis\.p?call|[a-z_]+)\((?P<arguments>.*)\)$")


class Token(msgspec.Struct, frozen=True):
    """One token that matters, with where it stands."""

    kind: str
    text: str
    start: int
    end: int


def lua_places(file: str, text: str) -> list[Place]:
    """Every place of a file, in its order."""
    found: dict[int, list[tuple[str, int, str]]] = {}
    for start, operator, end, new in (*_token_changes(text), *_call_changes(text)):
        found.setdefault(start, []).append((operator, end, new))
    return [
        Place(
            file=file,
            line=text.count("\n", 0, start) + 1,
            ways=tuple((name, partial(_replaced, text, start, end, new)) for name, end, new in changes),
        )
        for start, changes in sorted(found.items())
    ]


def _replaced(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]


def _tokens(text: str) -> list[Token]:
    amounts = {at for amount in _SIZE.finditer(text) for at in range(*amount.span())}
    return [
        Token(match.lastgroup or "", match.group(), match.start(), match.end())
        for match in _TOKEN.finditer(text)
        if match.lastgroup != "comment" and match.start() not in amounts
    ]


def _token_changes(text: str) -> Iterator[tuple[int, str, int, str]]:
    """(start, operator, end, new text) for comparisons, arithmetic, logic, numbers and negations."""
    before: Token | None = None
    for token in _tokens(text):
        if token.kind == "symbol" and token.text in COMPARISONS:
            for new in COMPARISONS[token.text]:
                yield token.start, f"comparison {token.text} to {new}", token.end, new
        elif token.kind == "symbol" and token.text in ARITHMETIC and _ends_operand(before):
            new = ARITHMETIC[token.text]
            yield token.start, f"arithmetic {token.text} to {new}", token.end, new
        elif token.kind == "word" and token.text in LOGIC:
            yield token.start, f"logic {token.text} to {LOGIC[token.text]}", token.end, LOGIC[token.text]
        elif token.kind == "word" and token.text == "not":
            yield token.start, "negation dropped", token.end, ""
        elif token.kind == "number":
            for operator, new in other_numbers(token.text):
                yield token.start, operator, token.end, new
        before = token


def _ends_operand(token: Token | None) -> bool:
    """Whether a binary operator can follow: a `-` elsewhere is a sign."""
    if token is None:
        return False
    if token.kind == "symbol":
        return token.text in _OPERAND_ENDS
    return token.kind != "word" or token.text not in {"return", "and", "or", "not", "then", "do", "in"}


def _call_changes(text: str) -> Iterator[tuple[int, str, int, str]]:
    """A call that stands alone on its line can be dropped, or have its first two plain arguments swapped."""
    at = 0
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\n")
        match = _CALL.match(bare)
        if match and bare.lstrip().partition("(")[0] not in {"if", "while", "function", "error", "for", "return"}:
            start = at + len(match["indent"])
            yield start, "call dropped", at + len(bare), "do end"
            if swapped := _swapped(match["arguments"]):
                yield at + match.start("arguments"), "arguments swapped", at + match.end("arguments"), swapped
        at += len(line)


def _swapped(arguments: str) -> str | None:
    """The arguments with the last two exchanged, where they are plain: no brackets, no strings with commas."""
    parts = arguments.split(", ")
    if len(parts) < 2 or any(mark in arguments for mark in '({["') or parts[-1] == parts[-2]:
        return None
    return ", ".join([*parts[:-2], parts[-1], parts[-2]])
