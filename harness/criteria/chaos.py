"""Everything is broken at random, in combinations, while jobs of every kind are under way: no rule is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import (
    LEAST_ON_HUB,
    MATTERS_MS,
    ChaosLoads,
    ChaosWorld,
    LeastMet,
    all_decided,
    at_the_fullest_strike,
    failed_demands,
    machine_was_free,
)
from harness.load.judge import in_trouble_percent
from harness.results import Evidence, Link, LinkTo, Measurement, at_most, count


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many rules of the history may be broken."""

    broken_rules: int


class Least(LeastMet, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Acknowledged jobs, faults, and what the fullest strike has to meet."""

    jobs: int
    strikes: int


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """No rule broken, no demand of the loads unmet, and nothing that could be drawn left out."""
    chaos = collected.get(ChaosLoads)
    loads = [world.load for world in chaos.worlds]
    broken = [violation for load in loads for check in load.checks.values() for violation in check.violations]
    failed, which = failed_demands(loads)
    strikes = [strike for world in chaos.worlds for strike in world.strikes]
    acknowledged = sum(load.checks["accounting"].counts.get("acknowledged", 0) for load in loads)
    drawn = {(world.name, kind) for world in chaos.worlds for combination in world.drawn for kind in combination}
    offered = sum(len(world.offered) for world in chaos.worlds)
    beside = list(_beside_the_hub(chaos.worlds, chaos.hub))
    return Judged(
        measurements=[
            count("rules broken", len(broken), limits.broken_rules),
            failed,
            *beside,
        ],
        evidence=[
            Evidence(what="acknowledged jobs", had=acknowledged, least=least.jobs),
            Evidence(what="faults", had=len(strikes), least=least.strikes),
            Evidence(what="kinds of faults", had=len(drawn), least=offered),
            *at_the_fullest_strike(strikes, least),
            *all_decided(loads),
            *machine_was_free(beside, min((load.machine_percent for load in loads), default=100.0)),
        ],
        links=[Link(to=LinkTo.FAULT, ref="chaos", label="the hub under the same faults")] if chaos.hub else [],
        explanation=" ".join([*(one.sentence for one in broken[:3]), *which, *(w.describe() for w in chaos.worlds)]),
    )


def _beside_the_hub(worlds: Sequence[ChaosWorld], hub: ChaosWorld | None) -> Iterator[Measurement]:
    """No more than the hub under the same faults: of jobs in trouble, and of the wait for another worker."""
    if hub is None or hub.load.swarm.jobs.acknowledged < LEAST_ON_HUB:
        return
    ours = max((in_trouble_percent(world.load.swarm) for world in worlds), default=0.0)
    yield at_most("acknowledged jobs in trouble, beside the hub's", ours, in_trouble_percent(hub.load.swarm), "%")
    if hub.begun_again_ms:
        longest = max((ms for world in worlds for ms in world.begun_again_ms), default=0.0)
        limit = max(hub.begun_again_ms) + MATTERS_MS
        yield at_most("worker lost to begun again, the longest, beside the hub's", longest, limit, "ms")


CRITERION: Final = CriterionSpec(
    id="chaos",
    title="Whatever breaks, nothing is lost",
    sentence="Under faults of every kind, drawn at random and several at once, every acknowledged job ends once.",
    source="Plan, success criterion: reliability; DESIGN, The harness: a nemesis drawn at random",
    measured=(
        "A generated population under a nemesis that draws by the run's seed: workers killed, stopped, sent away and "
        "aborted; the way to Redis partitioned, slow, half open and cut; Redis killed, stopped, demoted, full and "
        "without its functions; the API killed, stopped in order and with its clock ahead. The history is checked. "
        "Where the profile does the same to a hub at the same time, the stack may not come off worse."
    ),
    needs=(ChaosLoads,),
    limits=Limits,
    least=Least,
    judge=judge,
)
