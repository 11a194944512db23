"""Acknowledged jobs survive a restart of Redis and of the API."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import Restarts
from harness.results import Evidence, Link, LinkTo, count

CHECKED: Final = ("lost", "ended_twice", "double_claim", "stuck")


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many acknowledged jobs a restart may lose."""

    lost: int


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Acknowledged jobs, and kills of either."""

    jobs: int
    redis_kills: int
    api_kills: int


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """Nothing lost, stuck, doubled or held by two after the restarts."""
    checks = collected.get(Restarts).load.checks
    counts, acknowledged = checks["recovery"].counts, checks["accounting"].counts.get("acknowledged", 0)
    broken = [violation for name in CHECKED for violation in checks[name].violations]
    return Judged(
        measurements=[count("acknowledged jobs lost, stuck, doubled or held by two", len(broken), limits.lost)],
        evidence=[
            Evidence(what="acknowledged jobs", had=acknowledged, least=least.jobs),
            Evidence(what="kills of Redis", had=counts.get("redis_down", 0), least=least.redis_kills),
            Evidence(what="kills of the API", had=counts.get("killed", 0), least=least.api_kills),
        ],
        links=[Link(to=LinkTo.TALLY, ref="restarts", label="where every job is")],
        explanation=" ".join(violation.sentence for violation in broken[:3]),
    )


CRITERION: Final = CriterionSpec(
    id="restarts",
    title="Restarts lose nothing",
    sentence="Redis and the API may be killed and started again: acknowledged jobs are there and end once.",
    source="Plan, success criterion: reliability",
    measured="Redis (append-only file) and the API are killed and restarted under load; the history is checked.",
    needs=(Restarts,),
    limits=Limits,
    least=Least,
    judge=judge,
)
