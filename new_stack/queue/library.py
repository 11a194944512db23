"""The functions library: put together from `functions/*.lua` and their shared pieces, and loaded into Redis.

A function set is global to a server, whatever the database or prefix. So a process loads its library only where none
is loaded or an older one is: processes of two versions side by side settle on the newer and do not flap. Arguments
may be added at the end by a newer version, never moved.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from new_stack.queue.errors import RedisTooOld
from new_stack.queue.wire import RedisRefused, Wire

VERSION: Final = 1
"""Raise it with every change of a Lua file."""

NAME: Final = "hubgate"
FOLDER: Final = Path(__file__).parent / "functions"
_INCLUDE: Final = re.compile(r"^--@include +(.+)$", re.MULTILINE)


@cache
def source() -> str:
    """The library's Lua text."""
    pieces: dict[str, str] = {}
    functions = sorted(FOLDER.glob("*.lua"))
    for function in functions:
        for name in _includes(function.read_text()):
            _collect(name, pieces)
    bodies = [f"do\n{function.read_text()}end\n" for function in functions]
    return "\n".join([f"#!lua name={NAME}\nlocal VERSION = {VERSION}\n", *pieces.values(), *bodies])


def _includes(text: str) -> list[str]:
    return [name for line in _INCLUDE.findall(text) for name in line.split()]


def _collect(name: str, pieces: dict[str, str]) -> None:
    """Add a shared piece after those that it needs itself, once."""
    if name in pieces:
        return
    text = (FOLDER / "shared" / f"{name}.lua").read_text()
    for needed in _includes(text):
        _collect(needed, pieces)
    pieces[name] = text


async def loaded_version(wire: Wire, key: str) -> int:
    """The version of the library that the server has; 0 where it has none. Raises RedisTooOld."""
    try:
        return int(await wire.call("FCALL_RO", f"{NAME}_version", 1, key))
    except RedisRefused as refused:
        if is_missing(refused):
            return 0
        raise_if_too_old(refused)
        raise


async def install(wire: Wire, key: str) -> None:
    """Load the library unless the same or a newer version is there. Raises RedisTooOld, QueueUnavailable."""
    loaded = await loaded_version(wire, key)
    if loaded >= VERSION:
        return
    replace = ("REPLACE",) if loaded else ()
    try:
        await wire.call("FUNCTION", "LOAD", *replace, source())
    except RedisRefused as refused:
        if not loaded and await loaded_version(wire, key):
            return  # somebody else was quicker
        if "already exists" in str(refused):
            await wire.call("FUNCTION", "LOAD", "REPLACE", source())
            return
        raise


def is_missing(refused: RedisRefused) -> bool:
    """Whether the server does not have the function (a restart without persistence loses the library)."""
    return "Function not found" in str(refused)


def raise_if_too_old(refused: RedisRefused) -> None:
    """Raises RedisTooOld where the refusal says that the server does not know Redis Functions."""
    if "unknown command" in str(refused).lower():
        raise RedisTooOld(
            "this Redis has no Redis Functions: hubgate needs Redis 7 or Valkey 7.2, or newer"
        ) from refused
