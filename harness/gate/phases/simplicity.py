"""How much code the stack is, held against the hub's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from harness.errors import CouldNotRun
from harness.gate.bench import Bench, Phase
from harness.gate.findings import Findings, judged
from harness.gate.simplicity import count
from harness.gate.statements import CriterionId
from harness.results import Comparison, Evidence, LogFile, Measurement, Threshold

FOLDERS: Final = ("new_stack/queue", "new_stack/api", "new_stack/worker")
"""What does the hub's work: its queue, its server, and the core of a worker."""
LEFT_OUT: Final = ("new_stack/worker/connectors",)
"""The hub's figure has no connectors in it either."""


async def gather(bench: Bench) -> Findings:
    """Count, and keep the count of every file beside the report."""
    root = bench.overlay or _root()
    lines = count(root, FOLDERS, LEFT_OUT)
    bench.path("simplicity.txt").write_text("".join(f"{number:6}  {path}\n" for path, number in lines.items()))
    limit = bench.limits.simplicity
    measurement = Measurement(
        what=f"the stack's share of the hub's {limit.hub_lines:,} lines of code",
        observed=sum(lines.values()) / limit.hub_lines,
        threshold=Threshold(comparison=Comparison.AT_MOST, limit=limit.ratio_to_hub),
    )
    criterion = judged(
        CriterionId.SIMPLICITY,
        [measurement],
        [Evidence(what="files counted", had=len(lines), least=10)],
        explanation=f"It has {sum(lines.values()):,} lines of code in {len(lines)} files.",
    )
    return Findings(criteria=[criterion], logs=[LogFile(path="simplicity.txt", about="lines of code by file")])


def _root() -> Path:
    found = importlib.util.find_spec("new_stack")
    if found is None or found.origin is None:
        raise CouldNotRun("the package new_stack is not installed here, so its code cannot be counted")
    return Path(found.origin).parent.parent


SIMPLICITY: Final = Phase(
    name="simplicity", about="count the lines of code", feeds=(CriterionId.SIMPLICITY,), gather=gather
)
