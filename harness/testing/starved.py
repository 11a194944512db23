"""Which failures of a scenario prove nothing, as others had the machine while it ran."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from harness.clients import Disconnected, ExpectationTimeout
from harness.errors import NotReady
from harness.machine_time import HALF, QUARTER, STEP_S, MachineLog, MachineTime
from harness.testing.waiting import TooLate

OVERDUE = (TimeoutError, ExpectationTimeout, NotReady, TooLate, httpx.TimeoutException)
KILLED = "Timeout (>"
"""How the failure begins that pytest-timeout makes of a test that takes too long."""


def proves_nothing(error: BaseException, machine: MachineTime, from_s: float, to_s: float) -> bool:
    """Whether the machine explains it: what did not come in time, where others had half of the machine meanwhile; any
    other failure where they had three quarters of it.
    """
    only_late = all(map(is_overdue, _leaves(error)))
    return machine.left_less_than(HALF if only_late else QUARTER, from_s, to_s)


def proved_nothing(error: BaseException, log: MachineLog, from_s: float, to_s: float) -> bool:
    """The same by a log that is still written: where others had some of the machine, once it tells of that time."""
    known = log.time()
    if not known.lost_s(from_s - STEP_S, to_s + STEP_S):
        return False
    return proves_nothing(error, known, from_s, to_s) or proves_nothing(error, log.told_of(to_s + STEP_S), from_s, to_s)


def is_overdue(error: BaseException) -> bool:
    """Whether it says nothing but that something did not come in time."""
    killed = isinstance(error, pytest.fail.Exception) and str(error).startswith(KILLED)
    return killed or (isinstance(error, OVERDUE) and not isinstance(error, Disconnected))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
