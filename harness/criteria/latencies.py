"""What else is measured under load: acceptance and ends by each protocol, throughput, and the hub's own figures."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import MemoryLoads, SteadyLoad, failed_demands, machine_was_free, values_of, well_loaded
from harness.load.latencies import Metric, Transport
from harness.results import Comparison, Evidence, Measurement, Threshold, at_most

PROTOCOLS: Final = {Transport.WEBSOCKET: "WebSocket", Transport.SSE: "HTTP and SSE"}
BESIDE_THE_HUB: Final = (Metric.ACCEPTED, Metric.CLAIM_SEEN, Metric.PROGRESS_SEEN, Metric.ENDED)
"""What clients of both sides measure in the same way."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In ms: acceptance, by the plan's limit of claims, which come after it; how far a median may be over the hub's;
    and the share of the planned jobs a second that have to end.
    """

    accepted_p99_ms: float
    beyond_hub_ms: float
    throughput_share: float


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Accepted jobs by each protocol, and ended jobs on each side of the comparison."""

    accepted: int
    ended: int


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """Acceptance by protocol, throughput, and each median beside the hub's under the same load."""
    steady, beside = collected.get(SteadyLoad), collected.get(MemoryLoads)
    first, hub, stack = steady.attempts[0], beside.on_hub, beside.loads[0]
    limit_ms = limits.accepted_p99_ms
    acceptance = steady.p99_by_protocol("submit to accepted", Metric.ACCEPTED, limit_ms, limit_ms, PROTOCOLS)
    medians = []
    for metric in BESIDE_THE_HUB:
        reference = hub.swarm.series(metric).at(50)
        for transport, name in PROTOCOLS.items():
            what = f"{metric} by {name}, median, beside the hub's"
            limit = None if reference is None else reference + limits.beyond_hub_ms
            observed = stack.swarm.series(metric, transport).at(50) if limit is not None else None
            medians.append(at_most(what, observed, limit or 0.0, "ms"))
    loads = [*steady.attempts, *beside.loads]
    beside_one_another = [hub.machine_percent, stack.machine_percent]
    failed, which = failed_demands(loads)
    return Judged(
        measurements=[*acceptance, *medians, _throughput(first.swarm.throughput, first.spec.plan.rate, limits), failed],
        evidence=[
            *(
                Evidence(
                    what=f"jobs accepted by {name}",
                    had=values_of(first, Metric.ACCEPTED, transport),
                    least=least.accepted,
                )
                for transport, name in PROTOCOLS.items()
            ),
            Evidence(what="jobs that ended on the hub", had=values_of(hub, Metric.ENDED), least=least.ended),
            Evidence(what="jobs that ended on the stack", had=values_of(stack, Metric.ENDED), least=least.ended),
            well_loaded([*loads, hub]),
            *machine_was_free([*acceptance, *medians], min([steady.free_percent, *beside_one_another])),
        ],
        explanation=" ".join([*which, steady.describe_attempts]).strip(),
    )


def _throughput(observed: float, rate: float, limits: Limits) -> Measurement:
    threshold = Threshold(comparison=Comparison.AT_LEAST, limit=rate * limits.throughput_share)
    return Measurement(what="jobs that ended a second of the load", observed=observed, unit="/s", threshold=threshold)


CRITERION: Final = CriterionSpec(
    id="latencies",
    title="Nothing takes longer than on the hub",
    sentence="Submissions are answered and ends are told, by either protocol, as soon as on the hub, at the full rate.",
    source="Plan, Phase 2B: sub-second claims, 20 and more jobs a second; success criterion: performance",
    measured=(
        "Acceptance and throughput under the steady load; acceptance, claim, progress and end as clients see them, by "
        "each protocol, in the median, held against the hub's under the same load at the same time."
    ),
    needs=(SteadyLoad, MemoryLoads),
    limits=Limits,
    least=Least,
    judge=judge,
)
