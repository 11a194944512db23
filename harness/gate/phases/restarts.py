"""Redis and the API are killed and started again under load."""

from __future__ import annotations

from typing import Final

from harness.criteria.statements import CriterionId
from harness.faults import KillRedis, KillServers
from harness.gate.bench import Bench, Phase
from harness.gate.findings import Findings, judged, unmeasured
from harness.gate.loads import Mix, Side, Site, checks_of, put_load, spec_for
from harness.history import HistoryWriter
from harness.history.reporting import tally_of, timelines_of
from harness.processes import Valkey
from harness.results import Comparison, Evidence, Link, LinkTo, Measurement, Threshold

RATE: Final = 15.0
USERS: Final = 20
CHECKED: Final = ("lost", "ended_twice", "held_by_two", "stuck")


async def gather(bench: Bench) -> Findings:
    """Load, kill both, settle, check. A stack that somebody else runs is not killed."""
    if bench.options.candidate:
        why = "The API and its Redis were not started by this run, so they were not killed."
        return Findings(criteria=[unmeasured(CriterionId.RESTARTS, why)])
    seconds = bench.profile.restart_jobs / RATE
    spec = spec_for(
        bench,
        Side.STACK,
        rate=RATE,
        seconds=seconds,
        mix=Mix.of(USERS),
        durable=True,
        drain_s=15.0,
        fleet=12,
        redis=None,
        prefix="",
    )

    async def disturb(site: Site, writer: HistoryWriter) -> None:
        await _kills(bench, site, writer, seconds)

    _, folder = await put_load(bench, "restarts", spec, disturb)
    history, checks = await checks_of(folder)
    bench.shared.checks.append(("restarts", checks))
    counts, accounting = checks["recovery"].counts, checks["accounting"]
    broken = [violation for name in CHECKED for violation in checks[name].violations]
    criterion = judged(
        CriterionId.RESTARTS,
        [
            Measurement(
                what="acknowledged jobs lost, stuck, doubled or held by two",
                observed=len(broken),
                threshold=Threshold(comparison=Comparison.AT_MOST, limit=bench.limits.restarts.lost),
                counterexample=True,
            )
        ],
        [
            Evidence(what="acknowledged jobs", had=accounting.counts.get("acknowledged", 0), least=50),
            Evidence(what="kills of Redis", had=counts.get("redis_down", 0), least=1),
            Evidence(what="kills of the API", had=counts.get("killed", 0), least=1),
        ],
        links=[Link(to=LinkTo.TALLY, ref="restarts", label="where every job is")],
        explanation=" ".join(violation.sentence for violation in broken[:3]) or None,
    )
    return Findings(
        criteria=[criterion],
        tallies=[tally_of(accounting, id="restarts", title="Where every job is after the restarts")],
        timelines=timelines_of(history, [checks[name] for name in CHECKED], side="stack, restarts"),
    )


async def _kills(bench: Bench, site: Site, writer: HistoryWriter, seconds: float) -> None:
    seed, every_s = bench.options.seed, seconds / 5
    if isinstance(site.redis, Valkey):
        async with KillRedis(site.redis, writer, seed=seed, times=1, every_s=every_s, down_s=1.0) as killing:
            await killing.done()
    if site.server is not None:
        async with KillServers([site.server], writer, seed=seed, times=2, every_s=every_s) as killing_servers:
            await killing_servers.done()


RESTARTS: Final = Phase(
    name="restarts",
    about="kill Redis and the API under load and start them again",
    feeds=(CriterionId.RESTARTS,),
    gather=gather,
)
