"""What became of the jobs: the life of each one in trouble, and counts that have to add up."""

from __future__ import annotations

from typing import Self

import msgspec


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened to the job. `source` is who saw it (client, worker, api, redis, fault)."""

    at_ms: float
    source: str
    kind: str
    worker_id: str | None = None
    attempt: int | None = None
    note: str = ""
    wrong: bool = False
    """This is the entry that the checker objects to."""


class Timeline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The life of one job in trouble. `trouble` is a sentence, `check` the checker that objects.

    `id` is what links name; it is unique in the run.
    """

    id: str
    job_id: str
    check: str
    trouble: str
    entries: tuple[TimelineEntry, ...]
    side: str = "stack"


class Count(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many jobs are in one class; `bad` where there should be none."""

    label: str
    count: int
    bad: bool = False


class Tally(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every one of `total` in exactly one class. `total_label` says of what: `acknowledged jobs`."""

    id: str
    title: str
    total_label: str
    total: int
    classes: tuple[Count, ...]

    @property
    def unaccounted(self) -> int:
        """How many are in no class (below zero: in more than one); 0 where the counts add up."""
        return self.total - sum(part.count for part in self.classes)

    @classmethod
    def of(
        cls,
        *,
        id: str,  # noqa: A002 - the field's name
        title: str,
        total_label: str,
        total: int,
        good: dict[str, int],
        bad: dict[str, int],
    ) -> Self:
        """From the counts by class, the good ones first."""
        classes = [Count(label=label, count=count) for label, count in good.items()]
        classes += [Count(label=label, count=count, bad=True) for label, count in bad.items()]
        return cls(id=id, title=title, total_label=total_label, total=total, classes=tuple(classes))
