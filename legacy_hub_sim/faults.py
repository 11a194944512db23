"""The hub's nine known faults, by name: each is one behaviour in one place, and each can be switched off."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec


class Fault(enum.StrEnum):
    """What the hub does wrong. The value is the name used on the command line."""

    VANISHED_WORKER = "vanished-worker"
    ODD_PRIORITY = "odd-priority"
    ONE_SUBSCRIBER = "one-subscriber"
    DEAF_CANCEL = "deaf-cancel"
    DUPLICATE_ID = "duplicate-id"
    BINARY_FRAME = "binary-frame"
    LOST_OFFERS = "lost-offers"
    LINEAR_COST = "linear-cost"
    AMNESIA = "amnesia"


class About(msgspec.Struct, frozen=True):
    """A fault in words."""

    number: int
    shows: str
    fixed: str


ABOUT: dict[Fault, About] = {
    Fault.VANISHED_WORKER: About(
        1,
        "a job taken back from a vanished worker waits, but nobody is offered it until some worker reports in",
        "what the sweep takes back is offered to idle workers in the same step",
    ),
    Fault.ODD_PRIORITY: About(
        2,
        "a priority that is no whole number is stored all the same: a fraction silences every submission of its type "
        "and every offer, a text is counted though it was answered with an error, null shows the Redis client's words",
        "only a whole number is taken; anything else is refused with one error, and nothing is stored",
    ),
    Fault.ONE_SUBSCRIBER: About(
        3,
        "a job has one subscriber: a second one is confirmed and told nothing, and who comes back has lost its own",
        "whoever submits, subscribes or asks is told, and a client that comes back under its id goes on being told",
    ),
    Fault.DEAF_CANCEL: About(
        4,
        "the worker of a cancelled job is not told, its progress reaches the client, its completion overwrites the end",
        "the worker is sent `cancel_job`, and what it says of that job afterwards changes and reaches nothing",
    ),
    Fault.DUPLICATE_ID: About(
        5,
        "a second submission under an id is answered with that id and stored as another job nobody hears of",
        "the same content is answered with the job there is, other content with an error; nothing is stored",
    ),
    Fault.BINARY_FRAME: About(
        6,
        "a binary frame ends the reading of its connection without a word",
        "a binary frame is read as the text it holds",
    ),
    Fault.LOST_OFFERS: About(
        7,
        "an offer that was lost, or met a busy worker, is not made again until that worker reports idle",
        "a worker that completes a job is offered the next at once, and waiting jobs are offered again every second",
    ),
    Fault.LINEAR_COST: About(
        8,
        "every submission and every offer reads every job there ever was, one by one",
        "an index of the waiting jobs by type is kept beside the jobs, and only those are read, in one round trip",
    ),
    Fault.AMNESIA: About(
        9,
        "workers' records, subscriptions and failure history live in the process: a restart forgets them",
        "they are kept in the store beside the jobs, and read back at the start",
    ),
}

ALL_FAULTS: frozenset[Fault] = frozenset(Fault)


class UnknownFaultError(ValueError):
    """A name that is no fault's."""


def all_without(names: Iterable[str]) -> frozenset[Fault]:
    """The faults that stay when `names` are switched off; raises `UnknownFaultError` for a name that is none."""
    off = set()
    for name in names:
        try:
            off.add(Fault(name))
        except ValueError:
            known = ", ".join(Fault)
            raise UnknownFaultError(f"there is no fault named {name!r}; the names are: {known}") from None
    return ALL_FAULTS - off
