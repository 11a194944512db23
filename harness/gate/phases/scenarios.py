"""The scenarios: the pytest suites, run as programs of their own, judged by the criterion that each test names."""

from __future__ import annotations

import asyncio
import re
import signal
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final

from harness.criteria.evidence import PromiseResults, ScenarioResults
from harness.errors import CouldNotRun
from harness.gate.context import Phase, PhaseResult, RunContext
from harness.gate.phases.cassettes import scenarios_folder
from harness.machine_time import STARVED, Deadline
from harness.processes import Process
from harness.processes.services import module_launch
from harness.results import LogFile, SuiteOutcome, SuiteRow

LIMIT_S: Final = 300
INTERRUPT_S: Final = 15
LOOK_S: Final = 0.2
PYTEST: Final = (
    *("-p", "harness.testing.plugin", "-p", "pytest_asyncio.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider"),
    *("-o", "asyncio_mode=auto", "-o", "addopts=--strict-markers"),
    *("--tb=short", "-v", "--color=no"),
)
SEVERITY: Final = list(SuiteOutcome)
HEARD_OUT: Final = (0, 1, 2)
"""pytest's exit statuses for: all passed, some failed, interrupted."""
DONE: Final = re.compile(r"^(?=.*\b(?:PASSED|FAILED|ERROR|SKIPPED)\b)(?=.*\[ *(\d+)%\]).*::test_(\w+)", re.MULTILINE)
GROUP: Final = re.compile(r"@[\w.]+\]?$")
"""What stands behind the name of a test that has to run where others do (pytest shuts the brackets once more)."""
WRAPPING: Final = re.compile(
    r"^(failed on (setup|teardown) with )?\"?([\w.]+\.)?(AssertionError|ExpectationTimeout|Failed): "
)
"""What pytest puts before the sentence of an assertion."""


def suites_phase(name: str, about: str, kind: type[ScenarioResults]) -> Phase:
    """The phase that runs the suites of the criteria that need this type of evidence."""

    async def gather(context: RunContext) -> PhaseResult:
        return await _run_suites(context, name, kind)

    return Phase(name=name, about=about, gathers=(kind,), gather=gather)


async def _run_suites(context: RunContext, name: str, kind: type[ScenarioResults]) -> PhaseResult:
    """Run the suites and read what they came to."""
    results = context.path(f"{name}.junit.xml")
    # The token goes by the environment, not the command line: that one is in every process list.
    environment = {"WEBSOCKET_AUTH_TOKEN": context.options.token} if context.options.token else {}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # what else is installed takes a second to import
    launch = module_launch("pytest", _arguments(context, name, kind, results), name=name, environment=environment)
    process = await context.processes.astart(launch)
    process.expected_to_live = False  # it ends by itself
    interrupted = await _until_ended(process, context)
    found = read_results(results) if results.exists() else []
    if process.returncode not in HEARD_OUT or not found:
        raise CouldNotRun(f"the suites could not run (status {process.returncode}): {_last_words(process)}")
    return PhaseResult(
        evidence=[
            kind(
                scenarios=found,
                log=f"logs/{name}.log",
                complete=not interrupted,
                given=context.options.candidate is not None,
            )
        ],
        suites=found,
        logs=[LogFile(path=results.name, about=f"what the suites of “{name}” said, for machines")],
    )


def _last_words(process: Process) -> str:
    lines = (line.strip("= !") for line in reversed(process.tail().splitlines()))
    return next((line for line in lines if line), "it said nothing")


def read_results(path: Path) -> list[SuiteRow]:
    """The tests of a JUnit file, each once, as the worst that was said of it. Raises CouldNotRun."""
    try:
        tree = ET.parse(path)  # noqa: S314 - our own suites wrote it a moment ago
    except ET.ParseError as error:
        raise CouldNotRun(f"{path} is no JUnit file: {error}") from error
    outcomes: dict[tuple[str, str], list[SuiteRow]] = {}  # one whose teardown broke is there twice
    for scenario in map(_scenario, tree.iter("testcase")):
        outcomes.setdefault((scenario.suite, scenario.name), []).append(scenario)
    return [max(said, key=lambda one: SEVERITY.index(one.outcome)) for said in outcomes.values()]


def _why_without(case: ET.Element) -> str:
    """Why a case names no criterion: pytest writes ones of its own where it breaks off."""
    *_, last = (case.findtext("error") or "").strip().splitlines() or [""]
    if last and case.get("classname") == "pytest":
        return f"pytest broke off: {last}"
    return f"{case.get('name')} names no criterion" if case.get("name") else "pytest broke off in the midst of a test"


def _scenario(case: ET.Element) -> SuiteRow:
    criterion = case.find("properties/property[@name='criterion']")
    if criterion is None:
        raise CouldNotRun(_why_without(case))
    wrong = case.find("failure") if case.find("failure") is not None else case.find("error")
    return SuiteRow(
        suite=case.get("classname", ""),
        name=GROUP.sub("", case.get("name", "")),
        criterion=criterion.get("value", ""),
        outcome=_outcome(case, failed=wrong is not None),
        failure="" if wrong is None else _sentence(wrong.get("message", "")),
    )


def _outcome(case: ET.Element, *, failed: bool) -> SuiteOutcome:
    if failed:
        starved = case.find(f"properties/property[@name='{STARVED}']") is not None
        return SuiteOutcome.UNDECIDED if starved else SuiteOutcome.FAILED
    return SuiteOutcome.PASSED if case.find("skipped") is None else SuiteOutcome.SKIPPED


def _sentence(message: str) -> str:
    """An assertion in a line of bounded length, without the exception's own name."""
    first = next((line.strip() for line in message.splitlines() if line.strip()), "it failed without a word")
    first = WRAPPING.sub("", first)
    return (first if len(first) <= 300 else f"{first[:300]}…").rstrip(".")


def _arguments(context: RunContext, name: str, kind: type[ScenarioResults], results: Path) -> list[str]:
    options, stack = context.options, context.options.given_stack
    given = {
        "--junit-xml": results.resolve(),
        "--run-folder": context.path(name, "logs").parent.resolve(),
        "--maxfail": context.profile.enough_failed,
        "--machine-log": context.processes.machine.path and context.processes.machine.path.resolve(),
        "--candidate": options.candidate,
        "--legacy": options.legacy,
        "--prefix": stack and stack.prefix,
        # A seeded defect may sit in the functions that all who use a Redis share: it gets one of its own.
        "--redis": stack.redis_url or None if stack else context.given_redis,
        "--overlay": context.overlay and context.overlay.resolve(),
        "-m": context.profile.scenarios or None,
    }
    spread = ["-p", "xdist.plugin", "--apart", "--dist", "loadgroup", "-n"]
    wanted = [*spread, str(context.profile.suite_processes)] if context.profile.suite_processes > 1 else []
    # Stacks with many scenarios come first, else: that is better where all are run.
    wanted += ["--no-loadscope-reorder"] if wanted and context.profile.enough_failed == 1 else []
    wanted += [f"--criterion={spec.id}" for spec in context.wanted if kind in spec.needs]
    wanted += ["--warm"] if context.profile.warm else []
    chosen = [part for option, value in given.items() if value is not None for part in (option, str(value))]
    return [str(scenarios_folder()), *PYTEST, *wanted, *chosen]


async def _until_ended(process: Process, context: RunContext) -> bool:
    """Tell how far it is until it has ended; after the limit it is interrupted, which is answered."""
    limit, interrupted = Deadline(LIMIT_S, context.processes.machine), False
    while process.alive:
        done = DONE.findall(process.log_text())
        if done:
            percent, name = done[-1]
            context.report(f"{percent} %: {name.replace('_', ' ')}")
        if limit.is_over:
            interrupted = True
            process.signal(signal.SIGINT)
            stopped = Deadline(INTERRUPT_S, context.processes.machine)
            while process.alive and not stopped.is_over:  # noqa: ASYNC110 - neither rings a bell
                await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(process.stop)
        await asyncio.sleep(LOOK_S)
    return interrupted


SCENARIOS: Final = suites_phase(
    "scenarios",
    "run the plan's scenarios with old and new clients, real workers, and the hub beside them",
    ScenarioResults,
)
PROMISES: Final = suites_phase(
    "promises",
    "security, routing, monitors, the later dialect, restarts in order, retirement and retention, with real clients",
    PromiseResults,
)
