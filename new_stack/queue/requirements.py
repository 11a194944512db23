"""What matching makes of a submitter's own fields: the group that a job waits in, and its place among the others."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

import msgspec

from new_stack.matching import RequirementsError, read_requirements, signature
from new_stack.queue.errors import InvalidJob
from new_stack.queue.jobs import PRIORITY_LIMIT, NewJob


class _Asked(msgspec.Struct):
    """What matching looks at of a submitter's own fields."""

    requirements: Any = None
    customer_id: str | None = None
    workflow_priority: Annotated[int, msgspec.Meta(ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT)] | None = None


EXPECTED: Final = {"customer_id": "text", "workflow_priority": f"a whole number up to {PRIORITY_LIMIT} either way"}


class Matched(NamedTuple):
    """How a job waits."""

    group: str | None = None
    """The signature of what it asks for; None where it asks for its service alone."""
    rank: int | None = None
    """The priority of its workflow, which then stands for the job's own."""


UNMATCHED: Final = Matched()


def matched(job: NewJob) -> Matched:
    """What its submitter's own fields ask for. Raises InvalidJob."""
    if not job.extra:
        return UNMATCHED
    try:
        asked = msgspec.json.decode(job.extra, type=_Asked)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("`$.")[2].rstrip("`")
        raise InvalidJob(field, f"must be {EXPECTED[field]}") from None
    try:
        requirements = None if asked.requirements is None else read_requirements(asked.requirements)
        group = signature(job.service_required, asked.customer_id or None, requirements)
    except RequirementsError as error:
        raise InvalidJob(error.field, error.why) from None
    return Matched(group if group != job.service_required else None, asked.workflow_priority)
