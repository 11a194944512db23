"""Acknowledged jobs survive a restart of Redis and of the API."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import LeastMet, Restarts, all_decided, at_the_fullest_strike, failed_demands
from harness.protocols import EventKind
from harness.results import Evidence, Link, LinkTo, count


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many rules of the history a restart may break: a job lost, stuck, ended twice, claimed twice …"""

    broken_rules: int


class Least(LeastMet, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Acknowledged jobs, kills of either, ends that found no Redis, and what the fullest kill of either has to meet."""

    jobs: int
    ends_met: int
    redis_kills: int
    api_kills: int


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """No rule of the history broken by the restarts, and no answer of the API that a restart does not excuse."""
    restarts = collected.get(Restarts)
    load = restarts.load
    of_redis = [strike for strike in restarts.strikes if strike.kind is EventKind.REDIS_DOWN]
    of_api = [strike for strike in restarts.strikes if strike.kind is EventKind.KILLED]
    checks = load.checks
    counts, acknowledged = checks["recovery"].counts, checks["accounting"].counts.get("acknowledged", 0)
    broken = {name: check.violations for name, check in checks.items() if check.violations}
    failed, which = failed_demands([load])
    return Judged(
        measurements=[
            count("times that a rule of the history was broken", sum(map(len, broken.values())), limits.broken_rules),
            failed,
        ],
        evidence=[
            Evidence(what="acknowledged jobs", had=acknowledged, least=least.jobs),
            Evidence(what="kills of Redis", had=counts.get("redis_down", 0), least=least.redis_kills),
            Evidence(what="kills of the API", had=counts.get("killed", 0), least=least.api_kills),
            Evidence(what="runs that ended while Redis was away", had=restarts.ends_met, least=least.ends_met),
            *at_the_fullest_strike(of_redis, least, " against Redis"),
            *at_the_fullest_strike(of_api, least, " against the API"),
            *all_decided([load]),
        ],
        links=[Link(to=LinkTo.TALLY, ref="restarts", label="where every job is")],
        explanation=" ".join([*(f"{name}: {found[0].sentence}." for name, found in broken.items()), *which]),
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
