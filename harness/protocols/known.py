"""Protocols by name or by file: the entry points of `hubgate.protocols`, ours and anybody's, and files of one's own."""

from __future__ import annotations

import importlib.util
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.errors import CouldNotRun
from harness.protocols.description import Described, Description

GROUP: Final = "hubgate.protocols"
NAME: Final = "PROTOCOL"
"""What a file of Python calls its protocol."""
SHIPPED: Final = ("hub", "later", "stack", "universal")


def shipped(name: str) -> Described:
    """A protocol that comes with the harness."""
    text = (files("harness.protocols") / "shipped" / f"{name}.toml").read_text(encoding="utf-8")
    return _read(text, name, None)


def protocol_of(named: str) -> Described:
    """By the path of a file (`.toml`, or `.py` with a `PROTOCOL`), else by name. Raises CouldNotRun in a sentence."""
    path = Path(named)
    if path.suffix in {".toml", ".py"}:
        if not path.is_file():
            raise CouldNotRun(f"there is no file {path}")
        found: Any = (
            _read(path.read_text(encoding="utf-8"), str(path), path) if path.suffix == ".toml" else _loaded(path)
        )
    elif named in SHIPPED:
        return shipped(named)
    else:
        entry = next((entry for entry in entry_points(group=GROUP) if entry.name == named), None)
        if entry is None:
            there = sorted({*SHIPPED, *entry_points(group=GROUP).names})
            raise CouldNotRun(f"there is no protocol {named}; there are {', '.join(there)}, and files (.toml, .py)")
        found = entry.load()
    if not isinstance(found, Described):
        raise CouldNotRun(f"{named} has to be a harness.protocols.description.Described, not {type(found).__name__}")
    return found


def _read(text: str, what: str, path: Path | None) -> Described:
    try:
        return Described(msgspec.toml.decode(text, type=Description), path.resolve().parent if path else None)
    except msgspec.DecodeError as error:  # a ValidationError is one
        raise CouldNotRun(f"{what} is no description of a protocol: {error}") from error


def _loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise CouldNotRun(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CouldNotRun(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    return getattr(module, NAME, None)


HUB, LATER, STACK, UNIVERSAL = map(shipped, SHIPPED)
