"""Sample runs, as the gate would make them: what the report's tests read and what its pages are looked at with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

from msgspec.structs import replace

from harness.results import (
    About,
    Criterion,
    DefectRow,
    Detection,
    Fate,
    FaultOutcome,
    FaultRow,
    FigureTrend,
    Link,
    LinkTo,
    LogFile,
    Machine,
    MutantRow,
    Parts,
    Run,
    Standing,
    Statement,
    SuiteOutcome,
    SuiteRow,
    Tally,
    Target,
    Timeline,
    TimelineEntry,
    conclude,
    scores,
)
from tests.reports.sample_criteria import compatibility, latency, nothing_lost, others, promise
from tests.reports.sample_figures import charts, distributions, spiky
from tests.reports.sample_transcripts import NAMES, RENAMED, scenario

SMALL = ("happy-path", "submit-with-no-worker", "ask-for-status", "cancel-pending")
LOGS = tuple(
    LogFile(path=f"logs/{name}.log", about=about)
    for name, about in {"api": "The stack's API.", "hub": "The hub simulator.", "worker-01": "A worker."}.items()
)


def about(profile: str, seconds: float, baseline: str = "") -> About:
    return About(
        id=f"20261124-203105-{profile}",
        started_at=datetime(2026, 11, 24, 20, 31, 5, tzinfo=UTC),
        seconds=seconds,
        profile=profile,
        command=("hubgate", "gate", "--profile", profile, "--seed", "7"),
        machine=Machine(system="Linux 6.8 x86_64", cores=2, memory_bytes=8_200_000_000, python="3.11.7"),
        versions={"hubgate": "0.1.0", "valkey": "9.1.2", "aiohttp": "3.14.5", "redis-py": "8.1.0"},
        targets=(
            Target(name="legacy hub", kind="hub", url="ws://127.0.0.1:40123", version="simulator"),
            Target(name="new stack", kind="stack", url="http://127.0.0.1:40125", version="0.1.0"),
        ),
        revision="0123abcd",
        seed=7,
        baseline=baseline,
    )


def lost_job(number: int, random: Random) -> Timeline:
    job, start = f"job-{random.getrandbits(128):032x}", random.uniform(0, 40_000)
    first, second = (f"worker-{random.randrange(48):02d}" for _ in range(2))
    told = [
        (0, "client", "submitted", None, None, ""), (0.9, "api", "accepted", None, None, "answered 201"),
        (4, "redis", "claimed", first, 1, ""), (48, "worker", "progress", first, 1, "10 %"),
        (96, "worker", "progress", first, 1, "50 %"), (130, "fault", "killed", first, None, "SIGKILL"),
        (15_120, "redis", "lease_expired", first, 1, ""), (15_133, "redis", "claimed", second, 2, ""),
        (15_160, "worker", "progress", second, 2, "10 %"), (21_000, "fault", "killed", second, None, "SIGKILL"),
        (46_500, "check", "lost", None, None, "nothing more was seen of it"),
    ]  # fmt: skip
    entries = tuple(
        TimelineEntry(at_ms=start + at, source=source, kind=kind, worker_id=worker, attempt=attempt, note=note,
                      wrong=kind == "lost")
        for at, source, kind, worker, attempt, note in told
    )  # fmt: skip
    trouble = f"Acknowledged, claimed by {first} and {second}, and then lost: no ending was ever seen."
    return Timeline(id=f"lost-{number:04d}", job_id=job, check="nothing-lost", trouble=trouble, entries=entries)


def tally(lost: int) -> Tally:
    recovered = min(107, 2000 - lost)
    good = {"completed once": 2000 - lost - recovered, "completed after recovery": recovered, "cancelled": 0}
    return Tally.of(id="crash-jobs", title="Jobs under kills", total_label="acknowledged jobs", total=2000,
                    good=good, bad={"lost": lost, "ended twice": 0, "stuck": 0})  # fmt: skip


def faults() -> list[FaultRow]:
    def row(id: str, title: str, how: str, standing: Standing, stack: str, hub: str | None) -> FaultRow:  # noqa: A002
        return FaultRow(id=id, title=title, how=how, standing=standing, stack=FaultOutcome(sentence=stack),
                        hub=FaultOutcome(sentence=hub) if hub else None)  # fmt: skip

    return [
        row("kill-workers", "A third of the workers killed", "SIGKILL of 16 of 48 workers, three waves.",
            Standing.BETTER, "All 107 orphaned jobs ran again within 16.1 s.", "12 jobs waited until a worker spoke."),
        row("stop-workers", "Workers frozen", "SIGSTOP for 20 s of 8 workers.", Standing.SAME,
            "All jobs ended once.", "All jobs ended once."),
        row("restart-redis", "Redis killed and restarted", "SIGKILL, restart on its append-only file after 2 s.",
            Standing.ALONE, "Nothing acknowledged was lost; the queue stood still for 2.4 s.", None),
        row("slow-reader", "A client that reads slowly", "A client that reads 1 kB/s through a proxy.", Standing.WORSE,
            "Disconnected after 9 s, resumed without a gap.", "Served to the end."),
    ]  # fmt: skip


MISTAKES = (
    "last in, first out", "priority ignored", "claim in two steps", "no reaper", "lease never renewed",
    "retry without limit", "retry counted twice", "failure on SIGTERM", "cancel ignored by workers",
    "late completion overwrites cancel", "progress dropped", "progress reordered", "progress duplicated",
    "event without id", "no replay for a late subscriber", "resume skips one", "wrong type name", "missing field",
    "number as text", "second subscriber starved", "position off by one", "notifications left off",
    "completion before last progress", "result lost", "error text never stored",
)  # fmt: skip


def mutants(fate: Fate = Fate.CAUGHT) -> list[MutantRow]:
    def one(number: int, room: str, fate: Fate, **more: str) -> MutantRow:
        return MutantRow(
            id=f"{room}-{number}-0a1b2c",
            room=room,
            file=f"{room}/f.py",
            line=number,
            operator="comparison < to <=",
            diff="-    if a < b:\n+    if a <= b:",
            fate=fate,
            caught_by=("nothing-lost",) if fate is Fate.CAUGHT else (),
            **more,
        )

    declared = one(2, "queue", Fate.EQUIVALENT, explanation="Both are never equal.")
    return [one(1, "api", Fate.CAUGHT), declared, one(3, "worker", fate)]


def defects(missed: tuple[str, ...] = ()) -> list[DefectRow]:
    expected = ("nothing-lost", "compatibility", "claim", "progress")
    return [
        DefectRow(
            id=mistake.replace(" ", "-").replace(",", ""),
            mistake=f"{mistake.capitalize()}.",
            expected_by=(expected[number % 4],),
            caught_by=() if mistake in missed else (expected[number % 4],),
            detection=Detection.MISSED if mistake in missed else Detection.CAUGHT,
            seconds=4.2 + number / 10,
        )
        for number, mistake in enumerate(MISTAKES)
    ]


def suites() -> list[SuiteRow]:
    def one(suite: str, name: str, outcome: SuiteOutcome = SuiteOutcome.PASSED, failure: str = "") -> SuiteRow:
        return SuiteRow(suite=f"scenarios.{suite}", name=name, criterion="claim", outcome=outcome, failure=failure)

    return [
        *(one("test_progress", f"test_progress_{number}_is_told") for number in range(40)),
        one("test_security", "test_a_stranger_is_refused", SuiteOutcome.FAILED, "assert 200 == 401"),
        one("test_workers_leaving", "test_a_frozen_worker", SuiteOutcome.SKIPPED),
    ]


def changes() -> list[FigureTrend]:
    def one(criterion: str, what: str, before: float, after: float, change: Standing) -> FigureTrend:
        return FigureTrend(criterion=criterion, what=what, unit="ms", after=after, before=(before,), change=change)

    return [
        one("claim", "p99 of claims", 8.4, 9.1, Standing.SAME),
        one("progress", "p99 of progress", 14.0, 18.9, Standing.WORSE),
        one("recovery", "slowest recovery", 16_100, 16_120, Standing.SAME),
    ]


def passes() -> Run:
    return conclude(
        about("quick", 96.4),
        Parts(
            criteria=[compatibility(0, 4), latency("claim", "Claims are fast", "claims", 12.4, 20, 1000, 3000)],
            matrix=[scenario(name) for name in SMALL],
            distributions=distributions(Random(1))[:1],
            logs=LOGS,
        ),
    )


def fails() -> Run:
    return conclude(
        about("quick", 88.2),
        Parts(
            criteria=[compatibility(1, 4), latency("claim", "Claims are fast", "claims", 31.7, 20, 1000, 3000)],
            matrix=[scenario(name, broken=name == RENAMED) for name in SMALL],
            distributions=distributions(Random(1))[:1],
            logs=LOGS,
        ),
    )


def many_causes() -> Run:
    """A stack that is wrong in eight ways, each in some recordings, the first in all."""
    fields = ("job_id", "status", "position", "timestamp", "notified_workers", "progress", "result", "message")
    matrix = [scenario(name, wrong=[f for at, f in enumerate(fields) if number % (at + 1) == 0])
              for number, name in enumerate(NAMES) if not name.startswith("rest-")]  # fmt: skip
    return conclude(
        about("quick", 140), Parts(criteria=[compatibility(len(matrix), len(matrix)), *others()], matrix=matrix)
    )


def inconclusive() -> Run:
    unmeasured = Criterion.unmeasured(
        Statement(
            id="memory",
            title="Less memory than the hub",
            sentence="The API needs less memory than the hub.",
            source="Plan, success criteria",
            measured="Proportional set size under the same load.",
        ),
        "The hub simulator did not become ready within 10 s; its log says why.",
        links=[Link(to=LinkTo.FILE, ref="logs/hub.log", label="the hub's log")],
    )
    return conclude(
        about("quick", 31),
        Parts(
            criteria=[
                compatibility(0, 2),
                latency("claim", "Claims are fast", "claims", 8.1, 20, 1000, 214),
                unmeasured,
            ],
            matrix=[scenario(name) for name in SMALL[:2]],
            distributions=distributions(Random(1))[:1],
            problems=["The load phase broke off after 6 s: the hub simulator did not become ready."],
            logs=LOGS,
        ),
    )


def full(lost: int = 1) -> Run:
    """A full gate with the most that a report has to carry."""
    random = Random(7)
    lives = [lost_job(number, Random(number)) for number in range(1, lost + 1)]
    return conclude(
        about("full", 812.6, baseline="v0.1"),
        Parts(
            criteria=[
                compatibility(0, len(NAMES), 32),
                latency("claim", "Claims are fast", "claims", 12.4, 20, 1000, 3000),
                latency("progress", "Progress arrives at once", "progress", 18.9, 30, 500, 12_000),
                nothing_lost(lost, 0, 112),
                *others(),
                *(promise(number) for number in range(1, 15)),
            ],
            matrix=[scenario(name) for name in NAMES],
            distributions=distributions(random),
            charts=[*charts(random), spiky(random, lives)],
            tallies=[tally(lost)],
            timelines=lives,
            faults=faults(),
            defects=defects(),
            mutants=mutants(),
            suites=suites(),
            changes=changes(),
            power=scores(mutants()),
            logs=LOGS,
        ),
    )


def many_lost() -> Run:
    """A full gate that lost 2,000 jobs; the lives of ten are told."""
    run = full(2_000)
    lives = [one if place < 10 else replace(one, entries=()) for place, one in enumerate(run.timelines)]
    return replace(run, timelines=lives)


SAMPLES: dict[str, Callable[[], Run]] = {
    "passes": passes,
    "fails": fails,
    "causes": many_causes,
    "inconclusive": inconclusive,
    "full": full,
}
