"""The limits that criteria are held to and the least evidence that they need, from a TOML file people can change.

Every name must be known: a misspelt limit must not be one that is never applied.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from harness.errors import CouldNotRun

DEFAULT: Final = Path(__file__).with_name("limits.toml")


class UnreadableThresholds(CouldNotRun):
    """The thresholds file is not there, no TOML, or lacks or misspells something; the sentence says what."""


class Differences(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many differences that nobody declared a legacy client may meet."""

    undeclared_differences: int


class Scenarios(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many scenarios may fail."""

    failed_scenarios: int


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Submit → claimed, in ms: p99 with wake-ups, the longest by polling alone, and the plan's own limit."""

    p99_ms: float
    polling_max_ms: float
    plan_ms: float


class Conflicts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many jobs two workers may hold at once."""

    double_claims: int


class Progress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Worker → client, in ms."""

    p99_ms: float
    plan_ms: float


class Losses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many acknowledged jobs may be lost, end twice, or break another rule of the history."""

    lost: int
    ended_twice: int
    other_violations: int


class Recovery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long beyond its lease a killed worker's job may wait for another worker, in ms."""

    beyond_lease_ms: float


class Restarts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many acknowledged jobs a restart of Redis or of the API may lose."""

    lost: int


class Memory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The API's memory under load, as a share of the hub's under the same load."""

    ratio_to_hub: float


class Simplicity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hub's size in lines of code, and the share of it that the stack's core, and the whole of it, may have.

    `whole`, `not_counted` and `core` are paths below the stack's root, or beginnings of such.
    """

    hub_lines: int
    ratio_to_hub: float
    whole_ratio_to_hub: float
    whole: tuple[str, ...]
    not_counted: tuple[str, ...]
    core: tuple[str, ...]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """One table for each criterion."""

    legacy_clients: Differences
    modern_clients: Scenarios
    same_facts: Differences
    mixed_clients: Scenarios
    migration: Scenarios
    claims: Claims
    no_conflicts: Conflicts
    progress: Progress
    nothing_lost: Losses
    recovery: Recovery
    restarts: Restarts
    memory: Memory
    simplicity: Simplicity


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The least evidence: counts, and seconds of load."""

    cassettes: int
    facts: int
    modern_scenarios: int
    mixed_scenarios: int
    migration_scenarios: int
    workers: int
    load_jobs: int
    load_seconds: float
    subscribers: int
    progress_updates: int
    polling_jobs: int
    contended_jobs: int
    fault_jobs: int
    kills: int
    recoveries: int
    memory_samples: int


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A thresholds file; `least` by the name of the profile."""

    schema: int
    criteria: Limits
    least: dict[str, Least]


def load_thresholds(path: Path = DEFAULT) -> Thresholds:
    """Read a thresholds file. Raises UnreadableThresholds."""
    try:
        read = msgspec.toml.decode(path.read_bytes(), type=Thresholds)
    except OSError as error:
        raise UnreadableThresholds(f"{path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableThresholds(f"{path}: {error}") from error
    if read.schema != 1:
        raise UnreadableThresholds(f"{path}: schema {read.schema} is not known here; this version reads schema 1")
    return read
