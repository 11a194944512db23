"""The follower, a process of its own: takes the traffic from its standard input as it comes, and hands each connection
and each request to its mirror.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from typing import Final

from harness.cassettes.replay.files import NO_DEVIATIONS
from harness.parity.deviations import Deviations
from harness.shadow.ledger import TELL_EVERY_S, Ledger
from harness.shadow.mirror import Mirror
from harness.shadow.page import serve_page
from harness.shadow.requests import RequestMirror
from harness.shadow.traffic import (
    Answered,
    Asked,
    Lost,
    Message,
    Opened,
    PassedBy,
    read_message,
    read_settings,
)
from harness.shadow.world import World

NICER: Final = 5
"""The proxy comes first where both want the processor."""
SWEEP_S: Final = 0.25
LAST_COMPARISONS_S: Final = 10.0
"""For what is under way when the proxy has ended."""
MOST_AT_ONCE: Final = 5_000
"""Connections and requests that are followed at the same time."""
DID_NOT_KEEP_UP: Final = "the follower did not keep up"
TOO_MANY: Final = "more connections at a time than are followed"
BROKEN_OFF: Final = "the shadow ended"


class Follower:
    """All mirrors, by the numbers of what they mirror."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._mirrors: dict[int, Mirror] = {}
        self._requests: dict[int, RequestMirror] = {}

    def take(self, message: Message) -> None:
        """One message of the proxy. What belongs to nothing that is followed is passed over."""
        mirror = self._mirrors.get(message.number)
        try:
            self._take(message, mirror)
        except Exception as error:  # noqa: BLE001 - whatever one client says, the others are followed
            reason = self._world.failed(error)
            if mirror is not None:
                mirror.give_up(reason)

    def _take(self, message: Message, mirror: Mirror | None) -> None:
        ledger = self._world.ledger
        match message:
            case Opened() | Asked() if len(self._mirrors) + len(self._requests) >= MOST_AT_ONCE:
                ledger.not_compared(TOO_MANY)
            case Opened():
                self._mirrors[message.number] = Mirror(message, self._world)
            case Asked():
                self._requests[message.number] = asked = RequestMirror(message, self._world)
                self._world.later(self._ask(message.number, asked))
            case Answered():
                if message.number in self._requests:
                    self._requests[message.number].answered(message)
            case Lost():
                ledger.not_compared(DID_NOT_KEEP_UP)
                if mirror is not None:
                    self._mirrors.pop(message.number).give_up(DID_NOT_KEEP_UP)
            case PassedBy():
                ledger.passed_by(message.counts)
            case _:
                if mirror is not None:
                    mirror.take(message)

    def sweep(self) -> bool:
        """Compare what can be compared. Answers whether anything is still under way."""
        now_ms = self._world.now_ms()
        for number, mirror in list(self._mirrors.items()):
            try:
                is_done = mirror.sweep(now_ms)
            except Exception as error:  # noqa: BLE001 - whatever one client was told, the others are compared
                mirror.give_up(self._world.failed(error))
                is_done = False
            if is_done:
                del self._mirrors[number]
        return bool(self._mirrors or self._requests)

    def break_off(self) -> None:
        """Leave what is still under way."""
        self._world.ledger.not_compared(BROKEN_OFF, len(self._requests))
        for mirror in self._mirrors.values():
            mirror.give_up(BROKEN_OFF)

    async def _ask(self, number: int, request: RequestMirror) -> None:
        try:
            await request.run()
        except Exception as error:  # noqa: BLE001 - see take
            self._world.ledger.not_compared(self._world.failed(error))
        finally:
            del self._requests[number]


async def follow() -> None:
    """Follow what is read from standard input, until that ends."""
    os.nice(NICER)
    pipe = await _standard_input()
    settings = await read_settings(pipe)
    deviations = Deviations.load(settings.deviations) if settings.deviations else NO_DEVIATIONS
    ledger = Ledger(settings.out, deviations)
    ledger.begin(settings.primary, settings.candidate, settings.sample)
    world = World(settings, ledger)
    follower = Follower(world)
    async with serve_page(settings, ledger), asyncio.TaskGroup() as tasks:
        sweeping = tasks.create_task(_sweep(follower, ledger))
        while (message := await read_message(pipe)) is not None:
            follower.take(message)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_COMPARISONS_S):
                while follower.sweep():  # noqa: ASYNC110 - time itself makes things due
                    await asyncio.sleep(SWEEP_S)
        sweeping.cancel()
    follower.break_off()
    await world.close()
    ledger.close()


async def _sweep(follower: Follower, ledger: Ledger) -> None:
    """Compare often, and write the counts down now and then."""
    while True:
        limit = time.monotonic() + TELL_EVERY_S
        while time.monotonic() < limit:
            await asyncio.sleep(SWEEP_S)
            follower.sweep()
        ledger.tell_counts()


async def _standard_input() -> asyncio.StreamReader:
    pipe = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(pipe), sys.stdin)
    return pipe


if __name__ == "__main__":
    asyncio.run(follow())
