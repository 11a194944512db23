"""What a mutant is: one small change of one file of the stack; and those that are declared equivalent."""

from __future__ import annotations

import datetime as dt
import difflib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from harness.defects.defect import copy_with, source_of_stack
from harness.toml_files import read_toml

SMALL: Final = 10
"""Up to here a number in the code is a count or a place."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One spot of a file that can be changed, and the ways to do it: the operator's name, and what makes the text."""

    file: str
    """Path inside the stack's package."""
    line: int
    ways: tuple[tuple[str, Callable[[], str]], ...]


def other_numbers(number: str) -> list[tuple[str, str]]:
    """What a literal number becomes, each with the operator's name.

    Small whole ones are counts and places, which one more or less makes wrong. Larger ones and fractions are amounts:
    of those no run tells one from the next, so they become ten times as much, or a tenth.
    """
    if not number.isdecimal():
        value = float(number) if number.replace(".", "").isdecimal() else 0.0
        return [("number x10", repr(value * 10)), ("number /10", repr(value / 10))] if value else []
    whole = int(number)
    if whole > SMALL:
        return [("number x10", str(whole * 10)), ("number /10", str(whole // 10))]
    return [("number +1", str(whole + 1)), ("number -1", str(whole - 1) if whole else "(-1)")]


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """One change, ready to be applied. `text` is the whole file as it becomes."""

    file: str
    line: int
    operator: str
    diff: str
    """The changed lines, as a unified diff without its header."""
    text: str

    @property
    def name(self) -> str:
        """Where it is and what it does, in a word that may name a file: the same for the same mutant."""
        digest = hashlib.blake2b(f"{self.file}\n{self.diff}".encode(), digest_size=3).hexdigest()
        return f"{Path(self.file).stem}-{self.line}-{digest}"

    @property
    def room(self) -> str:
        """Which part of the stack it is in: queue, worker, api, client."""
        return self.file.partition("/")[0]


def mutant_of(place: Place, operator: str, text: str, original: str) -> Mutant:
    """The mutant that one way of changing a place makes."""
    lines = difflib.unified_diff(original.splitlines(), text.splitlines(), lineterm="", n=0)
    diff = "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))
    return Mutant(file=place.file, line=place.line, operator=operator, diff=diff, text=text)


def apply(mutant: Mutant, into: Path, *, source: Path | None = None) -> Path:
    """Copy the stack into a folder, with the mutant; answers the folder to put first on `PYTHONPATH`."""
    return copy_with({mutant.file: mutant.text}, into, source or source_of_stack())


class Equivalent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One declaration. `diff` is the mutant's, line for line."""

    file: str
    diff: str
    reason: str
    expires: dt.date

    def covers(self, mutant: Mutant, today: dt.date) -> bool:
        """Whether it speaks of this mutant and has not expired."""
        return self.file == mutant.file and self.diff.strip() == mutant.diff.strip() and today <= self.expires


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    equivalent: list[Equivalent] = []


def load_equivalents(path: Path) -> list[Equivalent]:
    """Read the declarations; none where there is no file. Raises UnreadableFile."""
    return read_toml(path, _File).equivalent if path.exists() else []
