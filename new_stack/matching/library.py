"""The matching functions as a library of their own: for use without the queue, and for its tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "functions"
NAME: Final = "hubgate_matching"


@cache
def rule() -> str:
    """The Lua text of the rule alone: it defines `why_not(job, worker)` for a library that includes it."""
    return (FOLDER / "why_not.lua").read_text()


@cache
def source() -> str:
    """The whole library's Lua text, for FUNCTION LOAD."""
    return f"#!lua name={NAME}\n{rule()}\n{(FOLDER / 'hubgate_why_not.lua').read_text()}"
