"""What a replay waits for before each action: all that the recording has before it, as long as that may take."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Final

from harness.cassettes import Incoming
from harness.cassettes.replay.causality import described, kind_and_actor, recorded_wait_ms
from harness.cassettes.replay.expectations import Deadlines, Expectations
from harness.cassettes.replay.plan import Plan
from harness.machine_time import MOST_STRETCHED, MachineLog

LEAST_S: Final = 0.02
"""It is not waited again for less than that."""


class Waiting:
    """The waits of one replay. What does not come in time is given up and becomes an incident.

    `check` raises where nothing can come any more.
    """

    def __init__(
        self,
        plan: Plan,
        expectations: Expectations,
        deadlines: Deadlines,
        clock: Callable[[], float],
        remark: Callable[[str], None],
        check: Callable[[], None],
        machine: MachineLog,
    ) -> None:
        self._plan, self._expectations, self._deadlines, self._clock = plan, expectations, deadlines, clock
        self._remark, self._check, self._machine = remark, check, machine
        self._changed = asyncio.Event()
        self._matched = self._overdue = 0
        self._silent: set[str] = set()
        self._last_arrival = clock()

    def arrived(self, event: Incoming) -> None:
        """Something was received."""
        self._last_arrival = self._clock()
        if self._expectations.arrive(event) is not None:
            self._matched += 1
        self._changed.set()

    async def for_causes_of(self, index: int) -> None:
        """Wait for all that the recording has before this place."""
        await self._until_there(lambda: self._expectations.outstanding(index))

    async def for_all(self, places: Sequence[int]) -> None:
        """Wait for what is expected at these places."""
        await self._until_there(lambda: self._outstanding_of(places))

    def give_up_all(self, places: Sequence[int]) -> None:
        """Expect nothing any more of what is expected at these places; that is no incident."""
        self._expectations.give_up(self._outstanding_of(places))

    async def _until_there(self, missing: Callable[[], list[int]]) -> None:
        """Wait until nothing is missing; give up what is overdue."""
        # A recorded frame is a cause of every later action: whoever acted may have acted because of it. So each
        # action waits for all frames before it, and not for a recorded time. A frame that took long in the recording
        # may take that long again, beyond the deadline; each frame that does come starts the deadline anew, since a
        # busy server that still answers is slow and not silent. Time that others had of the machine does not count.
        recorded_ms = max((recorded_wait_ms(self._plan.events, place) for place in missing()), default=0.0)
        limit = self._clock() + self._base_deadline_s(missing()) + min(recorded_ms / 1000, self._deadlines.patience_s)
        seen, began, began_s, regained_s = self._matched, self._clock(), time.time(), 0.0
        while places := missing():
            self._check()
            if self._matched != seen:
                limit, seen = max(limit, self._clock() + self._base_deadline_s(places)), self._matched
            left = limit - self._clock()
            if left <= 0:
                most_s = (limit - began - regained_s) * (MOST_STRETCHED - 1)
                more_s = min(most_s, self._machine.time().lost_s(began_s, time.time())) - regained_s
                if more_s < LEAST_S:
                    self._give_up(places)
                    return
                limit, regained_s = limit + more_s, regained_s + more_s
                continue
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    def _base_deadline_s(self, places: Sequence[int]) -> float:
        """Less for kinds of frames that did not come before, and once so many did not that others will not either."""
        # A stack that leaves out one kind of frame leaves it out every time: without this a long cassette would
        # spend its whole deadline on each of them.
        expected_in_vain = all(kind_and_actor(self._plan.events[place]) in self._silent for place in places)
        hurried = len(self._silent) > 0 and (expected_in_vain or self._overdue >= self._deadlines.hurry_after)
        return self._deadlines.hurried_deadline_s if hurried else self._deadlines.deadline_s

    def _outstanding_of(self, places: Sequence[int]) -> list[int]:
        return sorted(set(places) & set(self._expectations.outstanding(len(self._plan.events))))

    def _give_up(self, missing: Sequence[int]) -> None:
        self._overdue += len(missing)
        for place in missing:
            self._silent.add(kind_and_actor(self._plan.events[place]))
            self._remark(f"waited in vain for {described(self._plan.events[place])}")
        self._expectations.give_up(missing)

    async def linger(self, index: int) -> None:
        """Where the recording lingered before an actor left, give what was not recorded a chance to show."""
        # Waiting for expected frames alone would never see one too many: an actor that leaves at once cannot receive
        # anything twice. It stays as long as it did, but no longer than until nothing has come for a moment.
        gap_s = (self._plan.events[index].at - self._plan.events[index - 1].at) / 1000 if index else 0.0
        if gap_s < self._deadlines.linger_gap_s:
            return
        limit = self._clock() + gap_s
        quiet_at = max(self._last_arrival, self._clock()) + self._deadlines.quiet_s
        while (now := self._clock()) < min(quiet_at, limit):
            await asyncio.sleep(min(quiet_at, limit) - now)
            quiet_at = max(quiet_at, self._last_arrival + self._deadlines.quiet_s)
