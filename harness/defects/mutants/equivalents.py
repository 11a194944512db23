"""Mutants that are declared equivalent: in a TOML file, each with a reason and a day on which it has to be looked at
again, because the code around it changes.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec

from harness.defects.mutants.mutant import Mutant
from harness.errors import CouldNotRun


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
    """Read the declarations; none where there is no file. Raises CouldNotRun where it is unreadable."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=_File).equivalent
    except FileNotFoundError:
        return []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CouldNotRun(f"{path}: {error}") from error
