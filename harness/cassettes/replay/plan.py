"""What a replay still has to do: the recording, rearranged where a stack's order of work is another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harness.cassettes import Event
from harness.cassettes.replay.causality import job_of
from harness.cassettes.replay.expectations import Expectations
from harness.cassettes.replay.order_of_work import Exchange, Schedule


class Plan:
    """The events of a replay, what has been played of them at their beginning. What is expected follows it."""

    def __init__(self, events: Sequence[Event], expectations: Expectations, *, has_puppets: bool) -> None:
        self.events: tuple[Event, ...] = tuple(events)
        self.exchanges: Final[list[Exchange]] = []
        """Where the stack's order of work was another one than the recording's, and was followed."""
        self._expectations = expectations
        self._schedule = Schedule(events if has_puppets else ())

    def granted(self, place: int) -> bool:
        """Whether the claim at that place is granted."""
        return self._schedule.granted(place)

    def asks_in_vain(self, place: int) -> bool:
        """Whether the hub refuses the claim at that place, and a stack would give another job instead."""
        return self._schedule.is_refused_with_work_left(place)

    def given(self, place: int, job_id: str) -> bool:
        """The worker that claims a job there was given that one: go on in this order. False where the recording has no
        worker that goes on to do it.
        """
        is_recorded = self._schedule.granted(place) and job_of(self.events[place]) == job_id
        return is_recorded or self._follow(self._schedule.exchange_at(place, job_id))

    def is_for_another(self, place: int) -> bool:
        """Whether the worker that claims a job there has failed it before, in this order: a stack may give it to
        another one instead.
        """
        return bool(self.exchanges) and self._schedule.hand_over_at(place) is not None

    def hand_over(self, place: int) -> bool:
        """Have another worker do the job that is claimed there, as soon as it is idle."""
        exchange = self._schedule.hand_over_at(place)
        return exchange is not None and self._follow(exchange)

    def _follow(self, exchange: Exchange) -> bool:
        changed = self._schedule.with_exchange(exchange)
        if changed is not None:
            self.exchanges.append(exchange)
            self._schedule, places = changed
            self.events = self._schedule.events
            self._expectations.rearrange(self.events, places)
        return changed is not None
