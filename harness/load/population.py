"""A population of jobs, drawn with a seed from weights: what each job is, and what its own script leads to.

The kinds: `plain` and `instant` complete; `retried` fails once and completes; `failing` fails at each attempt; the
others are cancelled by their client while they wait, while they run, and while they wait for their next attempt.
Expectations come from the script of the job alone, not from what the system under load says.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar

import msgspec

from harness.errors import CouldNotRun
from harness.protocols import EventKind, Submission
from harness.protocols.script import MAX_RETRIES, expectation_of

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
    RETRIED = "retried"
    FAILING = "failing"
    CANCELLED_WAITING = "cancelled-waiting"
    CANCELLED_RUNNING = "cancelled-running"
    CANCELLED_IN_BACKOFF = "cancelled-in-backoff"


CANCEL_ON: Final = {
    Kind.CANCELLED_WAITING: EventKind.ACCEPTED,
    Kind.CANCELLED_RUNNING: EventKind.PROGRESS,
    Kind.CANCELLED_IN_BACKOFF: EventKind.ATTEMPT_FAILED,
}
"""The first event of this kind lets the client cancel the job."""

STEP: Final = {"sleep_ms": 40}
UPDATES: Final = [{"progress": 10, "stamp": True}, STEP, {"progress": 55, "stamp": True}, STEP]
LAST: Final = {"progress": 100, "stamp": True}
LONG: Final = [{"progress": 5, "stamp": True}, *({"sleep_ms": 250} for _ in range(8)), LAST]
"""Two seconds: time enough for a cancellation to reach a running job."""
SCRIPTS: Final[Mapping[Kind, list[dict[str, Any]]]] = {
    Kind.PLAIN: [*UPDATES, LAST],
    Kind.INSTANT: [],
    Kind.RETRIED: [*UPDATES, {"fail": "the first attempt is meant to fail", "attempts": 1}, LAST],
    Kind.FAILING: [{"progress": 10, "stamp": True}, {"fail": "each attempt is meant to fail"}],
    Kind.CANCELLED_WAITING: LONG,
    Kind.CANCELLED_RUNNING: LONG,
    Kind.CANCELLED_IN_BACKOFF: [{"fail": "each attempt is meant to fail"}],
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


def planned(job: Submission, *, cancel_on: EventKind | None = None, result: Any = None) -> PlannedJob:
    """A job with the end that its own script leads to, or a cancellation where its client cancels it."""
    end = expectation_of(job.payload).end or EventKind.COMPLETED
    ends = frozenset({end} | ({EventKind.CANCELLED} if cancel_on else set()))
    return PlannedJob(submission=job, expected=Expected(ends=ends, result=result, cancel_on=cancel_on))


class Population(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The weights of what jobs are."""

    kinds: dict[Kind, float]
    services: dict[str, float]
    priorities: dict[int, float]
    payload_bytes: dict[int, float]

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            weights = getattr(self, name)
            if not weights or min(weights.values()) < 0 or not sum(weights.values()):
                raise ValueError(f"[{name}] needs weights of 0 or more, one of them above 0")

    def job(self, number: int, job_id: str, *, seed: int) -> PlannedJob:
        """The job of that number: the same for the same seed, whatever its id."""
        chance = Random(f"{seed}/{number}")  # noqa: S311 - a load, not a secret
        kind, service = _drawn(chance, self.kinds), _drawn(chance, self.services)
        priority, size = _drawn(chance, self.priorities), _drawn(chance, self.payload_bytes)
        result = {"status": "success", "job": job_id}
        payload: dict[str, Any] = {"simulate": [*SCRIPTS[kind], {"result": result}]}
        if size:
            payload["padding"] = "x" * size
        job = Submission(service=service, payload=payload, priority=priority, job_id=job_id)
        return planned(job, cancel_on=CANCEL_ON.get(kind), result=result)


def _drawn(chance: Random, weights: Mapping[Choice, float]) -> Choice:
    return chance.choices(list(weights), list(weights.values()))[0]


def read_population(path: Path = DEFAULT) -> Population:
    """The weights in a TOML file. Raises CouldNotRun with the place of what is wrong."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Population, strict=False)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise CouldNotRun(f"{path}: {error}") from error
