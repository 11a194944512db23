"""The plan's scenarios: the pytest suites, run as a program of their own, judged by the criterion each test names."""

from __future__ import annotations

import asyncio
import re
import signal
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Final

import msgspec

from harness.criteria.limits import Scenarios as Limit
from harness.criteria.statements import CriterionId
from harness.errors import CouldNotRun
from harness.gate.bench import Bench, Phase
from harness.gate.findings import Findings, judged
from harness.gate.phases.cassettes import scenarios_folder
from harness.processes import Process
from harness.processes.services import module_launch
from harness.results import Comparison, Criterion, Evidence, Link, LinkTo, LogFile, Measurement, Threshold

FEEDS: Final = (CriterionId.MODERN_CLIENTS, CriterionId.MIXED_CLIENTS, CriterionId.MIGRATION)
RESULTS: Final = "scenarios.junit.xml"
LOG: Final = "logs/scenarios.log"
LIMIT_S: Final = 300
INTERRUPT_S: Final = 15
LOOK_S: Final = 0.2
PYTEST: Final = (
    *("-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "-o", "addopts=--strict-markers"),
    *("--tb=short", "-v", "--color=no"),
)
HEARD_OUT: Final = (0, 1, 2)
"""pytest's exit statuses for: all passed, some failed, interrupted."""
DONE: Final = re.compile(r"::test_(\w+)\S* (?:PASSED|FAILED|ERROR|SKIPPED).*?\[ *(\d+)%\]")
WRAPPING: Final = re.compile(r"^(failed on (setup|teardown) with )?\"?([\w.]+\.)?(AssertionError|NotHeard|Failed): ")
"""What pytest puts before the sentence of an assertion."""
SHOWN: Final = 3


class Outcome(IntEnum):
    """How a scenario came out, the worst last: one that passed and broke something on its way out counts as failed."""

    SKIPPED = 0
    PASSED = 1
    FAILED = 2


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One test of the suites."""

    suite: str
    name: str
    criterion: CriterionId
    outcome: Outcome
    said: str = ""
    """The assertion that failed, its first line."""


async def gather(bench: Bench) -> Findings:
    """Run the suites and judge what they say."""
    results = bench.path(RESULTS)
    process = await bench.processes.astart(module_launch("pytest", _arguments(bench, results), name="scenarios"))
    process.expected_to_live = False  # it ends by itself
    await _until_ended(process, bench)
    found = read_results(results) if results.exists() else []
    if process.returncode not in HEARD_OUT or not found:
        raise CouldNotRun(f"the suites could not run (status {process.returncode}): {_last_words(process)}")
    limits, least = bench.limits, bench.least
    return Findings(
        criteria=[
            judge(CriterionId.MODERN_CLIENTS, found, limits.modern_clients, least.modern_scenarios),
            judge(CriterionId.MIXED_CLIENTS, found, limits.mixed_clients, least.mixed_scenarios),
            judge(CriterionId.MIGRATION, found, limits.migration, least.migration_scenarios),
        ],
        logs=[LogFile(path=RESULTS, about="what the scenario suites said, for machines")],
    )


def _last_words(process: Process) -> str:
    lines = (line.strip("= !") for line in reversed(process.tail().splitlines()))
    return next((line for line in lines if line), "it said nothing")


def judge(which: CriterionId, found: Iterable[Scenario], limit: Limit, least: int) -> Criterion:
    """No scenario of a criterion fails; one that was skipped is no evidence."""
    mine = [scenario for scenario in found if scenario.criterion is which and scenario.outcome is not Outcome.SKIPPED]
    failed = [scenario for scenario in mine if scenario.outcome is Outcome.FAILED]
    return judged(
        which,
        [
            Measurement(
                what="scenarios that failed",
                observed=len(failed),
                threshold=Threshold(comparison=Comparison.AT_MOST, limit=limit.failed_scenarios),
                counterexample=True,
            )
        ],
        [Evidence(what="scenarios", had=len(mine), least=least)],
        links=[Link(to=LinkTo.FILE, ref=LOG, label="the suites' log")],
        explanation=_told(failed),
    )


def _told(failed: Sequence[Scenario]) -> str | None:
    if not failed:
        return None
    first, more = failed[0], [scenario.name for scenario in failed[1 : 1 + SHOWN]]
    rest = f" Also failed: {', '.join(more)}{' and more' if len(failed) > 1 + SHOWN else ''}." if more else ""
    return f"{first.name}: {first.said}.{rest}"


def read_results(path: Path) -> list[Scenario]:
    """The tests of a JUnit file, each once, as the worst that was said of it. Raises CouldNotRun."""
    try:
        tree = ET.parse(path)  # noqa: S314 - our own suites wrote it a moment ago
    except ET.ParseError as error:
        raise CouldNotRun(f"{path} is no JUnit file: {error}") from error
    worst: dict[tuple[str, str], Scenario] = {}
    for scenario in map(_scenario, tree.iter("testcase")):
        key = (scenario.suite, scenario.name)
        if key not in worst or scenario.outcome > worst[key].outcome:  # one whose teardown broke is there twice
            worst[key] = scenario
    return list(worst.values())


def _scenario(case: ET.Element) -> Scenario:
    criterion = case.find("properties/property[@name='criterion']")
    if criterion is None:
        raise CouldNotRun(f"{case.get('name')} names no criterion")
    wrong = case.find("failure") if case.find("failure") is not None else case.find("error")
    skipped = case.find("skipped") is not None
    return Scenario(
        suite=case.get("classname", ""),
        name=case.get("name", ""),
        criterion=CriterionId(criterion.get("value", "")),
        outcome=Outcome.FAILED if wrong is not None else Outcome.SKIPPED if skipped else Outcome.PASSED,
        said="" if wrong is None else _sentence(wrong.get("message", "")),
    )


def _sentence(message: str) -> str:
    """An assertion in a line of bounded length, without the exception's own name."""
    first = next((line.strip() for line in message.splitlines() if line.strip()), "it failed without a word")
    first = WRAPPING.sub("", first)
    return (first if len(first) <= 300 else f"{first[:300]}…").rstrip(".")


def _arguments(bench: Bench, results: Path) -> list[str]:
    options = bench.options
    given = {
        "--junit-xml": results.resolve(),
        "--run-folder": bench.path("scenarios", "logs").parent.resolve(),
        "--maxfail": bench.profile.enough_failed,
        "--candidate": options.candidate,
        "--legacy": options.legacy,
        # A seeded defect may sit in the functions that all who use a Redis share: it gets one of its own.
        "--redis": None if bench.overlay else options.redis,
        "--overlay": bench.overlay and bench.overlay.resolve(),
    }
    if bench.profile.name == "quick":
        given["-m"] = "not long"
    wanted = [f"--criterion={which}" for which in FEEDS if bench.wants(which)]
    chosen = [part for name, value in given.items() if value is not None for part in (name, str(value))]
    return [str(scenarios_folder()), *PYTEST, *wanted, *chosen]


async def _until_ended(process: Process, bench: Bench) -> None:
    """Tell how far it is until it has ended; after the limit it is interrupted, and what it has by then counts."""
    limit = time.monotonic() + LIMIT_S
    while process.alive:
        done = DONE.findall(process.log_text())
        if done:
            name, percent = done[-1]
            bench.tell(f"{percent} %: {name.replace('_', ' ')}")
        if time.monotonic() > limit:
            process.signal(signal.SIGINT)
            await asyncio.sleep(INTERRUPT_S)
            await asyncio.to_thread(process.stop)
        await asyncio.sleep(LOOK_S)


SCENARIOS: Final = Phase(
    name="scenarios",
    about="run the plan's scenarios with old and new clients, real workers, and the hub beside them",
    feeds=FEEDS,
    gather=gather,
)
