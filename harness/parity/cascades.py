"""What follows from what: the first cause of a cascade is told, and the rest is folded under it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import msgspec

from harness.results import Finding


def folded(findings: Sequence[Finding], frames: Sequence[Any]) -> list[Finding]:
    """The findings, each that follows from an earlier one marked with that one's place. Excused ones cause nothing.

    A job's later findings follow from its first. After a worker was given another job than before, all that is
    different about any job follows from that. What is different in one way about many jobs is told once, and an
    acknowledgement that is missing follows from the message that it would acknowledge.
    """
    causes: dict[Hashable, int] = {}
    marked = []
    for place, (finding, frame) in enumerate(zip(findings, frames, strict=True)):
        follows = None
        if not finding.excused:
            fields = frame if isinstance(frame, dict) else {}
            job, acknowledged = fields.get("job_id"), fields.get("original_type")
            kind = (finding.role, finding.kind, finding.message_type, finding.field)
            names: list[Hashable] = [("way", *kind)]
            if isinstance(job, str):
                names += [("job", job), "order of work"]
            if acknowledged:
                names.append(("way", finding.role, finding.kind, acknowledged, finding.field))
            follows = min((causes[name] for name in names if name in causes), default=None)
            root = place if follows is None else follows
            for name in names:
                if name != "order of work" or finding.message_type == "job_assigned":
                    causes.setdefault(name, root)
        marked.append(msgspec.structs.replace(finding, follows=follows))
    return marked
