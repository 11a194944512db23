"""Targets of which only a protocol is known: what that lets the gate ask, check by check."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from harness.clients.spoken_client import NotTold
from harness.clients.spoken_side import NotAsked, SpokenSide
from harness.clients.transport import Unreachable
from harness.gate.context import Phase, PhaseResult, RunContext
from harness.gate.load_runs import free_percent
from harness.gate.spoken.checks import CHECK_S, CHECKS, Broken, Pair, Run
from harness.gate.spoken.judge import SpokenResults
from harness.processes import ProcessDied
from harness.protocols.known import shipped
from harness.results import LogFile, SuiteOutcome, SuiteRow
from harness.results.formatting import listed
from harness.targets import Deployment, Namespace, Setup, Side, Target

DATABASE: Final = 58
SUITE: Final = "protocol"
LOG: Final = "checks.log"


async def gather(context: RunContext) -> PhaseResult:
    """Every check that serves a criterion of this run."""
    wanted = {spec.id for spec in context.wanted}
    results, why, said = list[SuiteRow](), dict[str, str](), list[str]()
    async with _sides(context) as pair:
        for side in (pair.hub, pair.stack):
            await side.check_worker()
        free = await free_percent()
        chosen = [(criterion, check) for criterion, check in CHECKS if criterion in wanted]
        for number, (criterion, check) in enumerate(chosen, 1):
            context.report(f"{number} of {len(chosen)}: {check.__name__.replace('_', ' ')}")
            outcome, sentence = await _outcome(check, pair)
            name = check.__name__
            results.append(SuiteRow(suite=SUITE, name=name, criterion=criterion, outcome=outcome, failure=sentence))
            said.append(f"{criterion}: {name}: {outcome} {sentence}".rstrip())
            if outcome is SuiteOutcome.SKIPPED:
                why.setdefault(criterion, sentence)
        left = [
            f"{side.name.capitalize()}: {listed(jobs)} did not end."
            for side in (pair.hub, pair.stack)
            if (jobs := await side.leave())
        ]
    context.path(LOG).write_text("\n".join(said) + "\n", encoding="utf-8")
    latencies = {"claimed_ms": pair.claimed_ms, "progress_ms": pair.progress_ms}
    return PhaseResult(
        evidence=[SpokenResults(scenarios=results, why=why, log=LOG, free_percent=free, **latencies)],
        left_behind=left,
        logs=[LogFile(path=LOG, about="what each check of the protocol said")],
    )


async def _outcome(check: Run, pair: Pair) -> tuple[SuiteOutcome, str]:
    """How one check came out, and in a sentence why it failed or could not be asked."""
    try:
        async with asyncio.timeout(CHECK_S):
            await check(pair)
    except NotAsked as why:
        return SuiteOutcome.SKIPPED, str(why)
    except (Broken, NotTold, Unreachable, ProcessDied) as wrong:
        return SuiteOutcome.FAILED, str(wrong).partition("\n")[0].rstrip(".")
    except TimeoutError:
        return SuiteOutcome.FAILED, f"it was not over within {CHECK_S:g} s"
    return SuiteOutcome.PASSED, ""


@asynccontextmanager
async def _sides(context: RunContext) -> AsyncIterator[Pair]:
    """The hub and the stack, given or started here."""
    options, processes = context.options, context.processes
    async with contextlib.AsyncExitStack() as ours:
        hub: Target | None = options.given_hub
        given = options.given_stack
        if hub is None:
            simulator = await Deployment.astart(processes, Setup(side=Side.HUB, name="spoken-hub"))
            ours.push_async_callback(asyncio.to_thread, simulator.stop)
            hub = simulator.target
        stack: Target | None = given
        redis_url, prefix = (given.redis_url, given.prefix) if given else ("", "")
        if stack is None:
            namespace = Namespace.fresh(await context.redis(), DATABASE)
            setup = Setup(name="spoken-api", overlay=context.overlay)
            own = await Deployment.astart(processes, setup, await context.redis(), namespace)
            ours.push_async_callback(asyncio.to_thread, own.stop)
            stack, redis_url, prefix = own.target, namespace.url, namespace.prefix
        yield Pair(
            hub=SpokenSide(target=hub, protocol=options.legacy_protocol or shipped("hub"), processes=processes),
            stack=SpokenSide(
                target=stack,
                protocol=options.protocol or shipped("stack"),
                processes=processes,
                redis_url=redis_url,
                prefix=prefix,
            ),
        )


SPOKEN: Final = Phase(
    name="protocol",
    about="ask hub and stack, by their protocols alone, what the plan promises",
    gathers=(SpokenResults,),
    gather=gather,
)
