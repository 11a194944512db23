"""What the gate judges: one statement for each promise of the plan, with where it is made and how it is measured."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class CriterionId(StrEnum):
    """The criteria's names: in limits.toml, in `--only`, in the report, in the seeded defects."""

    LEGACY_CLIENTS = "legacy-clients"
    MODERN_CLIENTS = "modern-clients"
    SAME_FACTS = "same-facts"
    MIXED_CLIENTS = "mixed-clients"
    MIGRATION = "migration"
    CLAIMS = "claims"
    NO_CONFLICTS = "no-conflicts"
    PROGRESS = "progress"
    NOTHING_LOST = "nothing-lost"
    RECOVERY = "recovery"
    RESTARTS = "restarts"
    MEMORY = "memory"
    SIMPLICITY = "simplicity"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One promise: what is claimed, where the plan claims it, and how the gate finds out."""

    id: CriterionId
    title: str
    sentence: str
    source: str
    measured: str


_ALL: Final = (
    Statement(
        id=CriterionId.LEGACY_CLIENTS,
        title="Legacy clients notice nothing",
        sentence="All existing WebSocket clients and monitors work unchanged.",
        source="Plan, Phase 2A scenario 1; success criterion: compatibility",
        measured=(
            "Every cassette recorded on the real hub is replayed on the hub, on the hub again, and on the stack; "
            "frames are compared, what differs between the two hub runs is noise, the rest must be declared."
        ),
    ),
    Statement(
        id=CriterionId.MODERN_CLIENTS,
        title="Modern clients work over HTTP and SSE",
        sentence="Clients submit by HTTP and follow by Server-Sent Events, with no gap and no double.",
        source="Plan, Phase 2A scenarios 2 and 5; success criterion: functionality",
        measured="The scenario suites for new clients and for progress run against the stack with real workers.",
    ),
    Statement(
        id=CriterionId.SAME_FACTS,
        title="Both kinds of client are told the same",
        sentence="Of one job, an SSE client learns the same facts in the same order as a WebSocket client of the hub.",
        source="Plan, Phase 2A scenario 5: progress for both kinds",
        measured=(
            "The jobs of every recording are played again by a modern client on the stack; what it learns of them is "
            "held against what the recorded client learned on the hub."
        ),
    ),
    Statement(
        id=CriterionId.MIXED_CLIENTS,
        title="Mixed clients share one queue",
        sentence="A job submitted by one kind of client can be followed, asked for and cancelled by the other.",
        source="Plan, Phase 2A scenario 3",
        measured=(
            "The scenario suites for mixed clients, old clients, many workers, workers that leave, and generated mixes "
            "run against the stack with real workers."
        ),
    ),
    Statement(
        id=CriterionId.MIGRATION,
        title="The transition is seamless",
        sentence="Clients move over one by one, and back again, with jobs in flight.",
        source="Plan, success criterion: seamless transition",
        measured="The migration suite moves the hub's clients to the stack and back, with jobs in flight on both.",
    ),
    Statement(
        id=CriterionId.CLAIMS,
        title="Jobs are claimed at once",
        sentence="With 48 worker processes on one Redis, a job is claimed well below a second after its submission.",
        source="Plan, Phase 2B: 40+ workers, sub-second claims",
        measured=(
            "Submit to claim at a constant arrival rate, from the intended moment, and once more with wake-ups "
            "switched off, by polling every 250 ms alone."
        ),
    ),
    Statement(
        id=CriterionId.NO_CONFLICTS,
        title="No job is claimed twice",
        sentence="However many workers want the same job, one gets it.",
        source="Plan, Phase 2B: no conflicts between 40+ workers",
        measured="48 workers claim at the same moment while one job waits, again and again; and in every history.",
    ),
    Statement(
        id=CriterionId.PROGRESS,
        title="Progress arrives in real time",
        sentence="What a worker reports, its subscribers see, by SSE and by WebSocket alike.",
        source="Plan, Phase 2B: progress < 500 ms",
        measured="Worker's report to the client's receipt, with 100 subscribers of both kinds under load.",
    ),
    Statement(
        id=CriterionId.NOTHING_LOST,
        title="No acknowledged job is lost",
        sentence="While workers are killed, stopped and restarted, every acknowledged job ends exactly once.",
        source="Plan, Phase 2B: no job lost when workers fail",
        measured="The history of a load under waves of SIGKILL, SIGTERM and SIGSTOP, gone through by every checker.",
    ),
    Statement(
        id=CriterionId.RECOVERY,
        title="A killed worker's job runs again soon",
        sentence="A job whose worker was killed is claimed again within its lease and two seconds.",
        source="Plan, Phase 2B: recovery; the hub needs 30 s and another report",
        measured="Kill to next claim, for every job that a killed worker held.",
    ),
    Statement(
        id=CriterionId.RESTARTS,
        title="Restarts lose nothing",
        sentence="Redis and the API may be killed and started again: acknowledged jobs are there and end once.",
        source="Plan, success criterion: reliability",
        measured="Redis (append-only file) and the API are killed and restarted under load; the history is checked.",
    ),
    Statement(
        id=CriterionId.MEMORY,
        title="Less memory than the hub",
        sentence="The API's process holds less memory than the hub's under the same load.",
        source="Plan, success criterion: resources",
        measured="Proportional set size (PSS) of both, sampled while each serves the same load with 48 workers.",
    ),
    Statement(
        id=CriterionId.SIMPLICITY,
        title="At most half the code",
        sentence="The core of queue, API and worker is at most half the code of the hub and its worker core.",
        source="Plan, success criterion: simplicity",
        measured="Lines of Python and Lua but for blank ones, comments and docstrings; limits.toml lists the core.",
    ),
)

STATEMENTS: Final = {statement.id: statement for statement in _ALL}
"""Every criterion of the gate, in the order in which the report shows them."""
