"""A population of jobs, drawn with a seed from weights: what each job is, and what its own script leads to.

The kinds: `plain`, `instant` and `slow` (a second) complete; `retried` fails once and completes; `failing` fails each
time; `cancelled-…` are cancelled by their client while they wait, while they run, and while they wait for their next
attempt; `batch` comes with others in one request, one of them bad; `poison` kills each worker that runs it; `overlong`
never ends by itself; `huge` has 8 MB of payload. Expectations come from the script of the job and its client's acts
alone, not from what the system under load says.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, Final, Self, TypeVar

import msgspec

from harness.protocols import EventKind, Submission
from harness.protocols.script import MAX_RETRIES, expectation_of
from harness.targets import Crew
from harness.toml_files import read_toml

Choice = TypeVar("Choice")
DEFAULT: Final = Path(__file__).with_name("population.toml")

SCRIPT: Final = (
    {"progress": 10, "stamp": True},
    {"sleep_ms": 50},
    {"progress": 55, "stamp": True},
    {"sleep_ms": 50},
    {"progress": 100, "stamp": True},
)
"""A tenth of a second of work, with three updates that carry their send time."""
DEFAULT_JOB: Final = Submission(payload={"simulate": list(SCRIPT)})
"""What the users of a load submit, unless the caller says otherwise."""


class Kind(StrEnum):
    """What becomes of a job."""

    PLAIN = "plain"
    INSTANT = "instant"
    SLOW = "slow"
    RETRIED = "retried"
    FAILING = "failing"
    CANCELLED_WAITING = "cancelled-waiting"
    CANCELLED_RUNNING = "cancelled-running"
    CANCELLED_IN_BACKOFF = "cancelled-in-backoff"
    BATCH = "batch"
    POISON = "poison"
    OVERLONG = "overlong"
    HUGE = "huge"


UNSERVED: Final = "nobody-serves-this"
"""The service of the jobs that are cancelled while they wait: no worker of a load takes it."""
HUGE_BYTES: Final = 8_000_000
BATCH_SIZE: Final = 4
CALM_BYTES: Final = 50_000
"""Jobs in one request, besides the bad item."""
NOT_ON_A_HUB: Final = frozenset({Kind.BATCH, Kind.POISON, Kind.OVERLONG, Kind.HUGE})
"""A hub has no batches and no time-out, its workers of ours share a process, and 8 MB take it seconds."""

CANCEL_ON: Final = {
    Kind.CANCELLED_WAITING: EventKind.ACCEPTED,
    Kind.CANCELLED_RUNNING: EventKind.PROGRESS,
    Kind.CANCELLED_IN_BACKOFF: EventKind.ATTEMPT_FAILED,
}
"""The first event of this kind lets the client cancel the job."""

STEP: Final = {"sleep_ms": 40}
UPDATES: Final = [{"progress": 10, "stamp": True}, STEP, {"progress": 55, "stamp": True}, STEP]
PAUSE: Final = {"sleep_ms": 180}
LAST: Final = {"progress": 100, "stamp": True}
LONG: Final = [{"progress": 5, "stamp": True}, *({"sleep_ms": 250} for _ in range(8)), LAST]
"""Two seconds: time enough for a cancellation to reach a running job. The time-out of the settings is longer."""
SCRIPTS: Final[Mapping[Kind, list[dict[str, Any]]]] = {
    Kind.PLAIN: [*UPDATES, LAST],
    Kind.INSTANT: [],
    # In the end it is silent for a while: only an end that nothing is left to say before meets an outage by itself.
    Kind.SLOW: [step for at in (10, 40, 70) for step in ({"progress": at, "stamp": True}, PAUSE)]
    + [LAST, *3 * [PAUSE]],
    Kind.RETRIED: [*UPDATES, {"fail": "the first attempt is meant to fail", "attempts": 1}, LAST],
    Kind.FAILING: [{"progress": 10, "stamp": True}, {"fail": "each attempt is meant to fail"}],
    Kind.CANCELLED_WAITING: LONG,
    Kind.CANCELLED_RUNNING: LONG,
    Kind.CANCELLED_IN_BACKOFF: [{"fail": "each attempt is meant to fail"}],
    Kind.BATCH: [*UPDATES, LAST],
    Kind.POISON: [{"progress": 10, "stamp": True}, {"crash": True}],
    Kind.OVERLONG: [{"progress": 10, "stamp": True}, {"hang": True}],
    Kind.HUGE: [*UPDATES, LAST],
}


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What may become of a job, by its own script and its client's own acts."""

    ends: frozenset[EventKind]
    result: Any = None
    """Of a job that completes; it names the job, so that a result that was swapped is noticed. None: any."""
    cancel_on: EventKind | None = None
    attempts: int = MAX_RETRIES + 1
    """With so many failed attempts the job has failed, as a client of the hub learns from their number alone."""


class PlannedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job to submit, and what may become of it."""

    submission: Submission
    expected: Expected
    kind: Kind = Kind.PLAIN
    beside: tuple[PlannedJob, ...] = ()
    """With a `batch`: the others of the request, where the client's protocol has such requests."""


def planned(
    job: Submission, *, cancel_on: EventKind | None = None, result: Any = None, kind: Kind = Kind.PLAIN
) -> PlannedJob:
    """A job with the end that its own script leads to, or a cancellation where its client cancels it."""
    expected = expectation_of(job.payload)
    end = EventKind.FAILED if expected.hangs else expected.end or EventKind.COMPLETED
    ends = frozenset({end} | ({EventKind.CANCELLED} if cancel_on else set()))
    attempts = 1 if kind is Kind.POISON else MAX_RETRIES + 1
    expects = Expected(ends=ends, result=result, cancel_on=cancel_on, attempts=attempts)
    return PlannedJob(submission=job, expected=expects, kind=kind)


class Population(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The weights of what jobs are, and the workers and settings that they are made for."""

    kinds: dict[Kind, float]
    early: dict[Kind, int] = {}
    """So many of each, whatever the weights, in the first third of the load."""
    services: dict[str, float]
    priorities: dict[int, float]
    payload_bytes: dict[int, float]
    unserved: str = UNSERVED
    """The service of jobs that wait until they are cancelled."""
    crews: tuple[Crew, ...] = ()
    """Without any, all workers take all services."""
    settings: dict[str, str] = {}
    """Of the stack's processes: what would take minutes happens within the load."""

    def __post_init__(self) -> None:
        for name in ("kinds", "services", "priorities", "payload_bytes"):
            weights = getattr(self, name)
            if not weights or min(weights.values()) < 0 or not sum(weights.values()):
                raise ValueError(f"[{name}] needs weights of 0 or more, one of them above 0")
        served = {service for crew in self.crews for service in crew.services}
        for service in self.services if served else ():
            if service not in served:
                raise ValueError(f"[[crews]] no worker serves {service!r}")

    def on_hub(self) -> Self:
        """The part of it that a hub understands."""
        return msgspec.structs.replace(self.without(*NOT_ON_A_HUB), settings={})

    def on_shared(self, ending: str) -> Self:
        """For a target that others use, too: services that end so, which nobody else has, and no job whose end is a
        matter of the target's settings.
        """
        crews = tuple(
            msgspec.structs.replace(crew, services=tuple(name + ending for name in crew.services))
            for crew in self.crews
        )
        services = {name + ending: weight for name, weight in self.services.items()}
        ours = {name: value for name, value in self.settings.items() if name.startswith("WORKER_")}
        changed = {"services": services, "unserved": self.unserved + ending, "crews": crews, "settings": ours}
        return msgspec.structs.replace(self.without(Kind.POISON), **changed)

    @property
    def all_kinds(self) -> frozenset[Kind]:
        """Those that any of its jobs is of."""
        return frozenset(kind for kind, weight in [*self.kinds.items(), *self.early.items()] if weight)

    @property
    def all_services(self) -> list[str]:
        """Those of its jobs, also of those that nobody serves."""
        return [*self.services, self.unserved]

    def without(self, *left_out: Kind) -> Self:
        """Without jobs of those kinds."""
        kinds = {kind: weight for kind, weight in self.kinds.items() if kind not in left_out}
        early = {kind: number for kind, number in self.early.items() if kind not in left_out}
        return msgspec.structs.replace(self, kinds=kinds, early=early)

    def slower(self) -> Self:
        """As many slow jobs as plain ones else, and the other way round, so that faults meet jobs in every state."""
        swapped = {Kind.PLAIN: Kind.SLOW, Kind.SLOW: Kind.PLAIN}
        kinds = {swapped.get(kind, kind): weight for kind, weight in self.kinds.items()}
        return msgspec.structs.replace(self, kinds=kinds)

    def calm(self) -> Self:
        """Without what occupies generator or server for so long that it would be in others' latencies."""
        sizes = {size: weight for size, weight in self.payload_bytes.items() if size <= CALM_BYTES}
        return msgspec.structs.replace(self, early={}, payload_bytes=sizes)

    def job(self, number: int, job_id: str, *, seed: int, jobs: int = 0) -> PlannedJob:
        """The job of that number, of so many: the same for the same seed, whatever its id."""
        chance = Random(f"{seed}/{number}")  # noqa: S311 - a load, not a secret
        kind, service = _drawn(chance, self.kinds), _drawn(chance, self.services)
        priority, size = _drawn(chance, self.priorities), _drawn(chance, self.payload_bytes)
        kind = self._early(jobs).get(number, kind)
        if kind is Kind.CANCELLED_WAITING:
            service = self.unserved
        size = HUGE_BYTES if kind is Kind.HUGE else size
        ids = [f"{job_id}-{place}" for place in range(1, BATCH_SIZE if kind is Kind.BATCH else 1)]
        beside = tuple(_scripted(one, kind, service, priority) for one in ids)
        return msgspec.structs.replace(_scripted(job_id, kind, service, priority, size), beside=beside)

    def _early(self, jobs: int) -> dict[int, Kind]:
        """Which numbers of so many jobs are of a kind that comes early, or that has to come at least once."""
        kinds = [kind for kind, count in self.early.items() for _ in range(count)]
        kinds += [kind for kind, weight in self.kinds.items() if weight and kind not in self.early]
        within = max(jobs // 3, len(kinds))
        return {within * place // len(kinds): kind for place, kind in enumerate(kinds)} if jobs else {}


def _scripted(job_id: str, kind: Kind, service: str, priority: int, size: int = 0) -> PlannedJob:
    result = {"status": "success", "job": job_id}
    payload: dict[str, Any] = {"simulate": [*SCRIPTS[kind], {"result": result}]}
    if size:
        payload["padding"] = "x" * size
    job = Submission(service=service, payload=payload, priority=priority, job_id=job_id)
    return planned(job, cancel_on=CANCEL_ON.get(kind), result=result, kind=kind)


def polled(services: int) -> Population:
    """So many services with one worker each, and so little work that each job meets its worker idle."""
    names = [f"polled-{number}" for number in range(1, services + 1)]
    return Population(
        kinds={Kind.INSTANT: 1.0},
        services=dict.fromkeys(names, 1.0),
        priorities={0: 1.0},
        payload_bytes={0: 1.0},
        crews=tuple(Crew(services=(name,)) for name in names),
    )


def _drawn(chance: Random, weights: Mapping[Choice, float]) -> Choice:
    return chance.choices(list(weights), list(weights.values()))[0]


def read_population(path: Path = DEFAULT) -> Population:
    """The weights in a TOML file. Raises UnreadableFile with the place of what is wrong."""
    return read_toml(path, Population)
