"""How soon subscribers see what a worker reports, and whether they see all of it."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import SteadyLoad, failed_demands, machine_was_free, values_of, well_loaded
from harness.load.latencies import Metric, Transport
from harness.results import Evidence, Link, LinkTo, count, decided

DELIVERY: Final = ("not_delivered", "progress_back", "steps")
"""The checkers of what subscribers are owed."""
PROTOCOLS: Final = {Transport.WEBSOCKET: "WebSocket", Transport.SSE: "SSE"}


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Worker to client, in ms: p99, and the plan's own limit."""

    p99_ms: float
    plan_ms: float


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Subscribers, and updates that they saw."""

    subscribers: int
    updates: int


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """p99 for each protocol, and nothing that a subscriber was owed missing, doubled or out of order."""
    steady = collected.get(SteadyLoad)
    first = steady.attempts[0]
    latencies = steady.p99_by_protocol(
        "worker to client", Metric.PROGRESS_SEEN, limits.p99_ms, limits.plan_ms, PROTOCOLS
    )
    broken = [violation for load in steady.attempts for name in DELIVERY for violation in load.checks[name].violations]
    failed, which = failed_demands(steady.attempts)
    seen = values_of(first, Metric.PROGRESS_SEEN) + values_of(first, Metric.PROGRESS_WATCHED)
    return Judged(
        measurements=[*latencies, count("updates missing, doubled or out of order", len(broken)), failed],
        evidence=[
            Evidence(what="subscribers", had=sum(first.swarm.users.values()), least=least.subscribers),
            Evidence(what="updates seen", had=seen, least=least.updates),
            well_loaded(steady.attempts),
            *machine_was_free(latencies, steady.free_percent),
            *decided(sum(len(load.checks[name].undecided) for load in steady.attempts for name in DELIVERY)),
        ],
        links=[Link(to=LinkTo.FIGURE, ref="stack-progress-seen", label="distribution")],
        explanation=" ".join([*(one.sentence for one in broken[:2]), *which, steady.describe_attempts]).strip(),
    )


CRITERION: Final = CriterionSpec(
    id="progress",
    title="Progress arrives in real time",
    sentence="What a worker reports, its subscribers see, by SSE and by WebSocket alike.",
    source="Plan, Phase 2B: progress < 500 ms",
    measured="Worker's report to the client's receipt, with 100 subscribers of both kinds under load.",
    needs=(SteadyLoad,),
    limits=Limits,
    least=Least,
    judge=judge,
)
