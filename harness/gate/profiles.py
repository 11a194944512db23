"""How much a run does: `quick` for every pull request (3 minutes on 2 cores), `full` for a release (15 minutes).

`selftest` and `fast` judge the gate itself: seeded defects, and generated mutants.
"""

from __future__ import annotations

from typing import Final

import msgspec

from harness.load.population import Kind
from harness.targets import LEASE_MS


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The amounts of a run. Rates are jobs a second, times seconds."""

    name: str
    workers: int
    """Worker processes on each side."""
    load_rate: float
    load_s: float
    subscribers: int
    hub_rate: float
    """The hub is measured at a rate that it holds (PROTOCOL.md, fault 8), the memory at the same rate on both sides."""
    memory_s: float
    polling_jobs: int
    contended_jobs: int
    fault_jobs: int
    fault_rate: float
    kill_waves: int
    restart_jobs: int
    chaos_jobs: int
    """How many jobs are submitted while everything is broken at random."""
    migration_jobs: int
    """How many are submitted while clients move over and back."""
    resource_rounds: int = 6
    """In how many rounds clients come and go while what the processes hold is watched."""
    enough_failed: int = 8
    """A stack that fails so many scenarios has failed; the rest would only take time."""
    hub_chaos_jobs: int = 0
    """How many are submitted to a hub meanwhile, which the same faults befall; 0 leaves the hub out."""
    hub_fault_jobs: int = 0
    """How many jobs the hub runs while its workers, or Redis and the hub, are killed; 0 leaves it out."""
    longest_recording_ms: float = float("inf")
    """Longer recordings, in which the hub is silent for long, are left out."""
    criteria: tuple[str, ...] = ()
    """Those that a run of this profile judges, where the user names none; empty for all."""
    scenarios: str = ""
    """Which scenarios are run, as an expression of their markers; empty for all."""
    warm: bool = False
    """Fork the processes of stack and hub from one that has imported their code, where nothing is measured of what they
    take: hundreds of starts cost a third of it then."""
    suite_processes: int = 1
    """Over how many processes the scenarios of a phase are spread."""
    side_by_side: int = 3
    """Phases at once. They wait more than they compute: three leave a part of two cores free."""
    together: bool = False
    """Whether no phase waits for another, as nothing is timed that the others would disturb."""
    fault_lease_ms: int = LEASE_MS
    """The stack's lease while its workers are killed."""
    fault_kinds_left_out: tuple[Kind, ...] = ()
    """Jobs that would take longer than the profile has time."""


SELFTEST: Final = Profile(
    name="selftest",
    workers=16,
    load_rate=30,
    load_s=8,
    subscribers=40,
    hub_rate=5,
    memory_s=8,
    polling_jobs=20,
    contended_jobs=20,
    fault_jobs=240,
    fault_rate=12,
    kill_waves=2,
    restart_jobs=120,
    chaos_jobs=150,
    migration_jobs=180,
    enough_failed=5,
    longest_recording_ms=30_000,
)
"""Enough to tell a stack that is wrong from one that is not, fifty times over. It goes on after the first scenario that
failed: what says why may be the next."""

FAST: Final = Profile(
    name="fast",
    workers=6,
    load_rate=20,
    load_s=4,
    subscribers=12,
    hub_rate=5,
    memory_s=4,
    polling_jobs=8,
    contended_jobs=8,
    fault_jobs=72,
    fault_rate=12,
    kill_waves=1,
    restart_jobs=40,
    chaos_jobs=0,
    migration_jobs=0,
    enough_failed=1,
    longest_recording_ms=8_000,
    criteria=(
        *("modern-clients", "mixed-clients"),
        *("monitors", "later-clients", "security", "routing", "retention"),
        *("legacy-clients", "same-facts"),
    ),
    scenarios="fast",
    suite_processes=4,
    warm=True,
    together=True,
    fault_lease_ms=2_500,
    fault_kinds_left_out=(Kind.OVERLONG, Kind.HUGE),
)
"""What half a minute can see of a mutant: the scenarios that are marked `fast`, the books of answers first, and the
recordings. Its load is run where one asks for its criteria."""

PROFILES: Final[dict[str, Profile]] = {
    SELFTEST.name: SELFTEST,
    FAST.name: FAST,
    "quick": Profile(
        name="quick",
        workers=48,
        load_rate=50,
        load_s=12,
        subscribers=100,
        hub_rate=5,
        memory_s=10,
        polling_jobs=24,
        contended_jobs=25,
        fault_jobs=600,
        fault_rate=20,
        kill_waves=3,
        restart_jobs=200,
        chaos_jobs=250,
        migration_jobs=180,
        scenarios="not long",
        suite_processes=3,
        warm=True,
    ),
    "full": Profile(
        name="full",
        workers=48,
        load_rate=50,
        load_s=60,
        subscribers=100,
        hub_rate=5,
        memory_s=40,
        polling_jobs=80,
        contended_jobs=200,
        fault_jobs=2400,
        fault_rate=25,
        kill_waves=8,
        restart_jobs=600,
        chaos_jobs=1000,
        migration_jobs=720,
        resource_rounds=40,
        hub_chaos_jobs=120,
        hub_fault_jobs=200,
        suite_processes=2,
        side_by_side=2,  # each load under faults has one on a hub beside it: six take all of two cores, and jobs wait
    ),
}
