"""Files that people write, in TOML: read into a type, or refused in a sentence with the file and the place."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from harness.errors import WrongUsage

Content = TypeVar("Content")


class UnreadableFile(WrongUsage):
    """The file is not there, no TOML, or lacks or misspells something."""


def read_toml(path: Path, content: type[Content]) -> Content:
    """What the file holds. Raises UnreadableFile."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=content)
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableFile(f"{path}: {error}") from error
