"""The scenario suites for clients that speak HTTP and Server-Sent Events; the judge of all scenario suites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged, NotMeasured
from harness.criteria.evidence import Scenario, ScenarioOutcome, ScenarioResults
from harness.results import Evidence, Link, LinkTo, count

SHOWN: Final = 3


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many scenarios may fail."""

    failed_scenarios: int


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many scenarios have to run; one that was skipped is no evidence."""

    scenarios: int


def judge_suites(
    which: str, kind: type[ScenarioResults] = ScenarioResults
) -> Callable[[Collected, Limits, Least], Judged]:
    """The judge of the scenarios that name this criterion: none of them fails."""

    def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
        results = collected.get(kind)
        ours = [one for one in results.scenarios if one.criterion == which]
        ran = [one for one in ours if one.outcome is not ScenarioOutcome.SKIPPED]
        left_out = len(ours) - len(ran) if results.given else 0
        if left_out and not ran:
            raise NotMeasured("Its scenarios start, stop and set up processes of the stack, which somebody else runs.")
        failed = [scenario for scenario in ran if scenario.outcome is ScenarioOutcome.FAILED]
        return Judged(
            measurements=[count("scenarios that failed", len(failed), limits.failed_scenarios)],
            evidence=[
                Evidence(what="scenarios", had=len(ran), least=max(least.scenarios - left_out, 1)),
                Evidence(what="suites that ran to their end", had=int(results.complete), least=1),
            ],
            links=[Link(to=LinkTo.FILE, ref=results.log, label="the suites' log")],
            explanation=_failures(failed),
        )

    return judge


def _failures(failed: Sequence[Scenario]) -> str:
    if not failed:
        return ""
    first, more = failed[0], [scenario.name for scenario in failed[1 : 1 + SHOWN]]
    rest = f" Also failed: {', '.join(more)}{' and more' if len(failed) > 1 + SHOWN else ''}." if more else ""
    return f"{first.name}: {first.failure}.{rest}"


CRITERION: Final = CriterionSpec(
    id="modern-clients",
    title="Modern clients work over HTTP and SSE",
    sentence="Clients submit by HTTP and follow by Server-Sent Events, with no gap and no double.",
    source="Plan, Phase 2A scenarios 2 and 5; success criterion: functionality",
    measured="The scenario suites for new clients and for progress run against the stack with real workers.",
    needs=(ScenarioResults,),
    limits=Limits,
    least=Least,
    judge=judge_suites("modern-clients"),
)
