"""A cassette that cannot be used, told with its file and line."""

from __future__ import annotations

from pathlib import Path

from harness.errors import CouldNotRun


class CassetteError(CouldNotRun):
    """Something is wrong with a cassette. The text begins with `file:line:`."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(f"{path}:{line}: {reason}")
        self.path = path
        self.line = line
        self.reason = reason
