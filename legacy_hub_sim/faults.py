"""The hub's nine known faults, by name: each is one behaviour in one place, and each can be switched off."""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Fault(enum.StrEnum):
    """What the hub does wrong, by its number and, on the command line, its name; README.md says what each shows."""

    VANISHED_WORKER = "vanished-worker"
    ODD_PRIORITY = "odd-priority"
    ONE_SUBSCRIBER = "one-subscriber"
    DEAF_CANCEL = "deaf-cancel"
    DUPLICATE_ID = "duplicate-id"
    BINARY_FRAME = "binary-frame"
    LOST_OFFERS = "lost-offers"
    LINEAR_COST = "linear-cost"
    AMNESIA = "amnesia"


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
