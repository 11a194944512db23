"""The criteria that are judged by scenario suites, one entry each, and their judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from harness.criteria.definition import Collected, CriterionSpec, Judged, NotMeasured
from harness.criteria.evidence import PromiseResults, ScenarioResults
from harness.results import Evidence, Link, LinkTo, SuiteOutcome, SuiteRow, count, decided

SHOWN: Final = 3


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many scenarios may fail."""

    failed_scenarios: int


class Least(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many scenarios have to run; one that was skipped is no evidence."""

    scenarios: int


Judge = Callable[[Collected, Limits, Least], Judged]


def judge_suites(which: str, kind: type[ScenarioResults]) -> Judge:
    """The judge of the scenarios that name this criterion: none of them fails."""

    def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
        results = collected.get(kind)
        ours = [one for one in results.scenarios if one.criterion == which]
        ran = [one for one in ours if one.outcome is not SuiteOutcome.SKIPPED]
        left_out = len(ours) - len(ran) if results.given else 0
        if left_out and not ran:
            raise NotMeasured("Its scenarios start, stop and set up processes of the stack, which somebody else runs.")
        failed = [scenario for scenario in ran if scenario.outcome is SuiteOutcome.FAILED]
        undecided = [scenario for scenario in ran if scenario.outcome is SuiteOutcome.UNDECIDED]
        return Judged(
            measurements=[count("scenarios that failed", len(failed), limits.failed_scenarios)],
            evidence=[
                Evidence(what="scenarios", had=len(ran), least=max(least.scenarios - left_out, 1)),
                Evidence(what="complete run of the suites", had=int(results.complete), least=1),
                *decided(len(undecided)),
            ],
            links=[
                *(Link(to=LinkTo.SUITE, ref=one.ref, label=one.name) for one in (failed or undecided)[:SHOWN]),
                Link(to=LinkTo.FILE, ref=results.log, label="the suites' log"),
            ],
            explanation=_failures(failed or undecided),
        )

    return judge


def _failures(failed: Sequence[SuiteRow]) -> str:
    if not failed:
        return ""
    first, more = failed[0], [scenario.name for scenario in failed[1 : 1 + SHOWN]]
    rest = f" Also failed: {', '.join(more)}{' and more' if len(failed) > 1 + SHOWN else ''}." if more else ""
    return f"{first.name}: {first.failure}.{rest}"


def judge_routing(collected: Collected, limits: Limits, least: Least) -> Judged:
    """No scenario that fails, and no run by a worker that does not serve the job in the history of any load."""
    judged = judge_suites("routing", PromiseResults)(collected, limits, least)
    strays = [one for _, checks in collected.histories for one in checks["wrong_worker"].violations]
    return replace(
        judged,
        measurements=[*judged.measurements, count("runs by workers that do not serve the job", len(strays))],
        explanation=" ".join([judged.explanation, *(one.sentence for one in strays[:2])]).strip(),
    )


def _criterion(
    name: str,
    title: str,
    sentence: str,
    source: str,
    measured: str,
    kind: type[ScenarioResults] = PromiseResults,
    judge: Judge | None = None,
) -> CriterionSpec[Limits, Least]:
    return CriterionSpec(
        id=name,
        title=title,
        sentence=sentence,
        source=source,
        measured=measured,
        needs=(kind,),
        limits=Limits,
        least=Least,
        judge=judge or judge_suites(name, kind),
    )


CRITERIA: Final = (
    _criterion(
        "api-restarts",
        "An API server can be restarted in order",
        "A server that is asked to stop says so first, tells its readers, who go on elsewhere, and no submission "
        "is lost.",
        "Plan, success criterion: reliability; DESIGN, The stack: safe restarts",
        "The scenario suite for restarts in order: SIGTERM to one of two servers with streams, sockets and "
        "submissions under way.",
    ),
    _criterion(
        "later-clients",
        "Clients of the later dialect learn the end",
        "Who follows a job in the later dialect is told its steps and its end, however it ends and whenever they come.",
        "Plan, Phase 1C: the universal client; DESIGN, The stack: both ends always learn the end",
        "The scenario suite for the later dialect: jobs that complete, fail, are cancelled and tried again by "
        "hand; clients that come late, ask, leave, and are cut off.",
    ),
    _criterion(
        "migration",
        "The transition is seamless",
        "Clients move over one by one, and back again, with jobs in flight.",
        "Plan, success criterion: seamless transition",
        "The migration suite moves the hub's clients to the stack and back, with jobs in flight on both.",
        ScenarioResults,
    ),
    _criterion(
        "mixed-clients",
        "Mixed clients share one queue",
        "A job submitted by one kind of client can be followed, asked for and cancelled by the other.",
        "Plan, Phase 2A scenario 3",
        "The scenario suites for mixed clients, old clients, many workers, workers that leave, and generated mixes "
        "run against the stack with real workers.",
        ScenarioResults,
    ),
    _criterion(
        "modern-clients",
        "Modern clients work over HTTP and SSE",
        "Clients submit by HTTP and follow by Server-Sent Events, with no gap and no double.",
        "Plan, Phase 2A scenarios 2 and 5; success criterion: functionality",
        "The scenario suites for new clients and for progress run against the stack with real workers.",
        ScenarioResults,
    ),
    _criterion(
        "monitors",
        "Monitors of both dialects see what is the case",
        "What monitors are shown has the schema that their pages read, and its figures settle on what is the case.",
        "Plan, Phase 2A scenario 1: monitors work unchanged",
        "The scenario suite for monitors: jobs in every state, workers that come to work; each figure is waited "
        "for and held against what was done, times against their unit.",
    ),
    _criterion(
        "retention",
        "What has ended is forgotten in time",
        "Ended jobs are kept by age and by number, their events for a shorter time; then nothing of them is left "
        "in Redis.",
        "DESIGN, The stack: bounded by default",
        "The scenario suite for retention, with terms of seconds: what the API answers, what it lists, and the "
        "keys in Redis.",
    ),
    _criterion(
        "routing",
        "A job runs only where it is served",
        "In a fleet of unlike workers no job is run by one that does not serve it; what nobody serves waits, is "
        "told, and runs when somebody joins.",
        "Hub: it offers a worker only the types that it lists; plan, Phase 3A: matching",
        "The scenario suite for routing with three crews of real workers, and in every history the services of the "
        "workers that ran each job.",
        judge=judge_routing,
    ),
    _criterion(
        "security",
        "Strangers and foreign pages get nothing",
        "Without the token, from a page of another origin or under a foreign host name, nothing is read or "
        "written; bodies are bounded.",
        "Plan, success criterion: compatibility (the hub's token); DESIGN, The stack: safe as it stands",
        "The scenario suite for security: every route of the API's description and every socket, without the token "
        "and with a wrong one, from foreign origins, under a foreign name; bodies and messages over their limits, "
        "one by one and together.",
    ),
)
