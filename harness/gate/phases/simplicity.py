"""How much code the stack is, held against the hub's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from harness.criteria.statements import CriterionId
from harness.errors import CouldNotRun
from harness.gate.bench import Bench, Phase
from harness.gate.findings import Findings, judged
from harness.gate.simplicity import count
from harness.results import Comparison, Evidence, Link, LinkTo, LogFile, Measurement, Threshold


async def gather(bench: Bench) -> Findings:
    """Count, and keep the count of every file beside the report."""
    limit = bench.limits.simplicity
    lines = count(bench.overlay or _root(), limit.whole, limit.not_counted)
    core = {path: number for path, number in lines.items() if path.startswith(limit.core)}
    listed = (f"{number:6}  {'core' if path in core else '    '}  {path}\n" for path, number in lines.items())
    bench.path("simplicity.txt").write_text("".join(listed))
    whole = sum(lines.values())
    criterion = judged(
        CriterionId.SIMPLICITY,
        [
            _share("the core", sum(core.values()), limit.hub_lines, limit.ratio_to_hub),
            _share("the whole", whole, limit.hub_lines, limit.whole_ratio_to_hub),
        ],
        [Evidence(what="files of the core", had=len(core), least=10)],
        links=[Link(to=LinkTo.FILE, ref="simplicity.txt", label="every file")],
        explanation=f"The core has {sum(core.values()):,} lines of code. With what serves old clients only, what the "
        f"hub has not, types and settings, queue, API and worker have {whole:,}; the hub has {limit.hub_lines:,}.",
    )
    return Findings(criteria=[criterion], logs=[LogFile(path="simplicity.txt", about="lines of code by file")])


def _share(what: str, lines: int, of: int, limit: float) -> Measurement:
    threshold = Threshold(comparison=Comparison.AT_MOST, limit=limit)
    return Measurement(what=f"{what}, as a share of the hub's {of:,} lines", observed=lines / of, threshold=threshold)


def _root() -> Path:
    found = importlib.util.find_spec("new_stack")
    if found is None or found.origin is None:
        raise CouldNotRun("the package new_stack is not installed here, so its code cannot be counted")
    return Path(found.origin).parent.parent


SIMPLICITY: Final = Phase(
    name="simplicity", about="count the lines of code", feeds=(CriterionId.SIMPLICITY,), gather=gather
)
