"""How many lines of code the rooms of the stack have."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from harness.criteria.definition import NotMeasured
from harness.criteria.evidence import CodeSize
from harness.criteria.simplicity import CRITERION, LISTING, count, listing
from harness.errors import CouldNotRun
from harness.gate.context import Phase, PhaseResult, RunContext
from harness.results import LogFile


async def gather(context: RunContext) -> PhaseResult:
    """Count, and keep the count of every file beside the report."""
    if context.options.candidate:
        raise NotMeasured("The code of a stack that somebody else runs is not here to be counted.")
    limits = context.limits.limits(CRITERION)
    lines = count(context.overlay or _root(), limits.rooms)
    context.path(LISTING).write_text(listing(lines, limits))
    return PhaseResult(evidence=[CodeSize(lines=lines)], logs=[LogFile(path=LISTING, about="lines of code by file")])


def _root() -> Path:
    found = importlib.util.find_spec("new_stack")
    if found is None or found.origin is None:
        raise CouldNotRun("the package new_stack is not installed here, so its code cannot be counted")
    return Path(found.origin).parent.parent


CODE_SIZE: Final = Phase(name="simplicity", about="count the lines of code", gathers=(CodeSize,), gather=gather)
