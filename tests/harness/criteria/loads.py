"""Loads that went well, and what can be wrong with one."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.criteria import restarts
from harness.criteria.definition import Checks, Collected
from harness.criteria.evidence import Restarts
from harness.history import CHECKERS, CheckResult, Violation
from harness.history.strikes import Strike
from harness.load.judge import judge
from harness.load.latencies import Histogram, Metric, Transport
from harness.load.results import LoadResult
from harness.load.swarm import LatencyResult
from harness.protocols import EventKind
from harness.results import Criterion
from tests.harness.load.test_judge import fleet, loaded, result

VIOLATION = Violation(job_id="a", form="wrong", sentence="Something is wrong with a.", at_ms=0)


def checks(broken: str | None = None, undecided: str | None = None) -> Checks:
    counts = {"acknowledged": 100, "killed": 9, "redis_down": 1}
    return {
        name: CheckResult(
            name=name,
            examined=9,
            violations=(VIOLATION,) if name == broken else (),
            undecided=(VIOLATION,) if name == undecided else (),
            counts=counts,
        )
        for name in CHECKERS
    }


def load(p99_ms: float = 10, *, broken: str | None = None, undecided: str | None = None, **wrong: Any) -> LoadResult:
    """A load with that latency; `wrong` is what `result` takes."""
    demands = wrong.pop("demands", None)
    values = Histogram.of([p99_ms / 1000] * 20)
    latency = LatencyResult(
        overall=values.series("all"), by_transport={transport: values.series(transport) for transport in Transport}
    )
    swarm = result(**wrong)
    seen = dict.fromkeys((Metric.CLAIMED, Metric.PROGRESS_SEEN), latency)
    swarm = msgspec.structs.replace(swarm, latencies={**swarm.latencies, **seen}, users={"user": 5})
    made = loaded(swarm, demands, checks=checks(broken, undecided), fleet=fleet())
    return msgspec.structs.replace(made, judgement=judge(made))


MET: dict[str, Any] = {"in_flight": 8, "waiting": 5, "in_back_off": 0, "subscribed": 10}


def strike(kind: EventKind, **met: int) -> Strike:
    return Strike(kind=kind, target="", **{**MET, **met})


STRIKES = (strike(EventKind.REDIS_DOWN), strike(EventKind.KILLED))


def judged_restarts(restarted: LoadResult, *strikes: Strike, ends_met: int = 1) -> Criterion:
    collected = Collected()
    collected.add(Restarts(load=restarted, strikes=list(strikes or STRIKES), ends_met=ends_met))
    least = restarts.Least(jobs=1, redis_kills=1, api_kills=1, ends_met=1, **MET)
    return restarts.CRITERION.judged(collected, restarts.Limits(broken_rules=0), least)
