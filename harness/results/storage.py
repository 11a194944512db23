"""run.json, written and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from harness.errors import CouldNotRun
from harness.results.run import SCHEMA, Run

FILE_NAME: Final = "run.json"


class UnreadableRun(CouldNotRun):
    """A run that cannot be read, with a sentence that says why."""


class _Version(msgspec.Struct):
    schema: int


def encode(run: Run) -> bytes:
    """The run as the bytes of run.json. What UTF-8 cannot carry (half of a surrogate pair in a frame) becomes `?`."""
    return msgspec.json.format(msgspec.json.encode(_encodable(msgspec.to_builtins(run))), indent=1) + b"\n"


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(part) for name, part in value.items()}
    return [_encodable(part) for part in value] if isinstance(value, list | tuple) else value


def decode(data: bytes, name: str = FILE_NAME) -> Run:
    """Raises UnreadableRun for what is no run, and for one that a newer hubgate wrote."""
    try:
        version = msgspec.json.decode(data, type=_Version).schema
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableRun(f"{name} is not a run of hubgate: {error}") from error
    if version > SCHEMA:
        raise UnreadableRun(
            f"{name} has schema {version}, and this hubgate reads up to {SCHEMA}: read it with a newer hubgate"
        )
    if version < 1:
        raise UnreadableRun(f"{name} has schema {version}, which never was: the first one is 1")
    if version < SCHEMA:
        raise UnreadableRun(
            f"{name} has schema {version}, whose verdicts have other names: read it with the hubgate that wrote it"
        )
    try:
        return msgspec.json.decode(data, type=Run)
    except msgspec.DecodeError as error:
        raise UnreadableRun(f"{name} does not fit schema {version}: {error}") from error


def save(run: Run, folder: Path) -> Path:
    """Write run.json into the folder (made where it is missing) and answer its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    path.write_bytes(encode(run))
    return path


def load(path: Path) -> Run:
    """Read a run from its folder or its file. Raises UnreadableRun."""
    file = path / FILE_NAME if path.is_dir() else path
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UnreadableRun(f"{file} cannot be read: {error.strerror}") from error
    return decode(data, str(file))
