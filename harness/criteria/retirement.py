"""The hub's protocols can be announced to go, refused for a while, switched off and brought back: nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from harness.criteria import suites
from harness.criteria.definition import Collected, CriterionSpec, Judged
from harness.criteria.evidence import MigrationLoad, PromiseResults, all_decided, failed_demands, values_of
from harness.history.absences import BROWN_OUTS
from harness.load.excuses import BY_REST, SENT_AWAY, SENT_AWAY_IN_FLIGHT
from harness.load.judge import explained_errors, unexplained_errors
from harness.load.latencies import Metric, Transport
from harness.results import Evidence, count

ID: Final = "retirement"
judge_scenarios: Final = suites.judge_suites(ID, PromiseResults)


class Limits(suites.Limits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many rules may be broken besides in the history of the load with brown-outs, and how many clients be refused
    that had to be served, or without a word.
    """

    broken_rules: int
    wrong_refusals: int


class Least(suites.Least, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the load: ends of jobs by each protocol, brown-outs, what they met, and whom they refused."""

    ended_by_each: int
    brown_outs: int
    in_flight: int
    subscribed: int
    refused: int
    refused_in_flight: int
    refused_by_rest: int


SEEN: Final = {
    "ended_by_each": "ends that clients saw by each protocol",
    "brown_outs": "brown-outs",
    "in_flight": "jobs in flight at the fullest brown-out",
    "subscribed": "subscriptions to jobs under way at the fullest brown-out",
    "refused": "times that a client without jobs in flight was sent away in words",
    "refused_in_flight": "times that one with jobs in flight was, in a brown-out that interrupts",
    "refused_by_rest": "calls of the hub's REST that were answered with 410",
}
"""What the load has to have seen, by the name of its least number."""


def judge(collected: Collected, limits: Limits, least: Least) -> Judged:
    """No scenario that fails; in the load no rule broken, and nobody refused but in words and as was said."""
    judged, migration = judge_scenarios(collected, limits, least), collected.get(MigrationLoad)
    load = migration.load
    broken = [violation for check in load.checks.values() for violation in check.violations]
    failed, which = failed_demands([load])
    unexplained = unexplained_errors(load)
    refusals = sum(_beginning(unexplained, how) for how in (SENT_AWAY, SENT_AWAY_IN_FLIGHT, BY_REST))
    wrong = [f"{number} x {kind}" for kind, number in unexplained.most_common(2)]
    return replace(
        judged,
        measurements=[
            *judged.measurements,
            count("rules broken", len(broken), limits.broken_rules),
            count("clients refused wrongly or without a word", refusals, limits.wrong_refusals),
            failed,
        ],
        evidence=[*judged.evidence, *_evidence(migration, least), *all_decided([load])],
        explanation=" ".join([judged.explanation, *(one.sentence for one in broken[:2]), *which, *wrong]).strip(),
    )


def _evidence(migration: MigrationLoad, least: Least) -> list[Evidence]:
    load, strikes = migration.load, migration.strikes
    refused = explained_errors(load)
    had = {
        "ended_by_each": min(values_of(load, Metric.ENDED, transport) for transport in Transport),
        "brown_outs": sum(one.part in BROWN_OUTS for one in load.absences),
        "in_flight": max((strike.in_flight for strike in strikes), default=0),
        "subscribed": max((strike.subscribed for strike in strikes), default=0),
        "refused": _beginning(refused, SENT_AWAY),
        "refused_in_flight": _beginning(refused, SENT_AWAY_IN_FLIGHT),
        "refused_by_rest": _beginning(refused, BY_REST),
    }
    return [Evidence(what=SEEN[field], had=number, least=getattr(least, field)) for field, number in had.items()]


def _beginning(errors: dict[str, int], how: str) -> int:
    return sum(number for kind, number in errors.items() if kind.startswith(how))


CRITERION: Final = CriterionSpec(
    id=ID,
    title="WebSocket can be retired, and brought back",
    sentence="Notices change nothing for old clients, a brown-out or the final switch loses no job and leaves nobody "
    "without a word, and all of it can be taken back at run time.",
    source="Plan, Phase 3B: deprecate WebSocket when ready",
    measured=(
        "The scenario suite for retirement: notices, counts, brown-outs, the switch and the way back, with both kinds "
        "of clients and jobs in flight. A load whose clients move from WebSocket to HTTP and back, with one brown-out "
        "that spares clients with jobs in flight and one that does not; its history is checked."
    ),
    needs=(PromiseResults, MigrationLoad),
    limits=Limits,
    least=Least,
    judge=judge,
)
