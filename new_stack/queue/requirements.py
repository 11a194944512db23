"""What a job asks of its worker besides its service, as the group that it waits in."""

from __future__ import annotations

from typing import Any

import msgspec

from new_stack.matching import RequirementsError, read_requirements, signature
from new_stack.queue.errors import InvalidJob
from new_stack.queue.jobs import NewJob


class _Asked(msgspec.Struct):
    """What matching looks at of a submitter's own fields."""

    requirements: Any = None
    customer_id: str | None = None


def group_of(job: NewJob) -> str:
    """The signature of what a job asks for, '' where it asks for its service alone. Raises InvalidJob."""
    try:
        asked = msgspec.json.decode(job.extra or b"{}", type=_Asked)
    except msgspec.ValidationError:
        raise InvalidJob("customer_id", "must be text") from None
    try:
        requirements = None if asked.requirements is None else read_requirements(asked.requirements)
        group = signature(job.service_required, asked.customer_id or None, requirements)
    except RequirementsError as error:
        raise InvalidJob(error.field, error.why) from None
    return group if group != job.service_required else ""
