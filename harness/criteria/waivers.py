"""Criteria that may fail for now: declared one by one, with a reason, an owner and a day of expiry.

A waiver that has expired, or whose criterion passes without it, makes its criterion fail: none outlives its use.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec

from harness.results import Criterion, Verdict, Waiver, count, judge
from harness.toml_files import UnreadableFile, read_toml

DEFAULT: Final = Path(__file__).with_name("waivers.toml")
STALE: Final = "waivers that have expired or that are not needed"


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One waiver of the file."""

    criterion: str
    reason: str
    owner: str
    expires: dt.date
    """The last day on which it is valid."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    waiver: list[Entry] = []


def load_waivers(known: Collection[str], path: Path = DEFAULT) -> list[Entry]:
    """Read the waivers for these criteria. Raises UnreadableFile."""
    entries = read_toml(path, _File).waiver
    for entry in entries:
        if entry.criterion not in known:
            raise UnreadableFile(f"{path}: there is no criterion {entry.criterion}")
        if not entry.reason.strip() or not entry.owner.strip():
            raise UnreadableFile(f"{path}: the waiver of {entry.criterion} needs a reason and an owner")
    for name, times in Counter(entry.criterion for entry in entries).items():
        if times > 1:
            raise UnreadableFile(f"{path}: {name} is waived {times} times")
    return entries


def waived(criterion: Criterion, entries: Sequence[Entry], today: dt.date) -> Criterion:
    """The criterion with its waiver, if it has one. One that nobody could judge keeps its verdict: a waiver is for a
    failure.
    """
    entry = next((one for one in entries if one.criterion == criterion.id), None)
    if entry is None:
        return criterion
    if entry.expires < today:
        return _stale(criterion, f"The waiver of {entry.owner} expired on {entry.expires.isoformat()}.")
    if criterion.verdict is Verdict.PASS:
        return _stale(criterion, f"The waiver of {entry.owner} is not needed: take it out.")
    if criterion.verdict is Verdict.INCONCLUSIVE:
        return criterion
    waiver = Waiver(reason=entry.reason, owner=entry.owner, expires=entry.expires.isoformat())
    return msgspec.structs.replace(criterion, waiver=waiver)


def _stale(criterion: Criterion, why: str) -> Criterion:
    measurements = (*criterion.measurements, count(STALE, 1))
    verdict = judge(measurements, criterion.evidence)
    return msgspec.structs.replace(
        criterion, measurements=measurements, verdict=verdict, explanation=f"{why} {criterion.explanation}"
    )
