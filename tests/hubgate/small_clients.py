"""Ten small programs of a team: six speak as the hub's clients do, four use `HybridClient`. Each runs job after job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from harness.clients import LegacyClient
from harness.clients.hub_clients import ExpectationTimeout
from new_stack.client import HybridClient

PAUSE_S: Final = 0.2
JOB: Final = {"simulate": [{"progress": 50}, {"sleep_ms": 50}, {"result": {"done": True}}]}
OLD, HYBRID = 6, 4


class SmallClient:
    """A program with an address that its team may change between two jobs; it writes down what became of each job."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.done: list[tuple[str, str]] = []
        """The address and the id of each job that has ended as it should."""
        self.told: list[str] = []
        """The sentences with which it was refused."""
        self.stopped = False

    async def run(self) -> None:
        """Job after job, until it is stopped. Raises what should not have happened."""
        while not self.stopped:
            await self.one_job(self.address)
            await asyncio.sleep(PAUSE_S)

    async def one_job(self, address: str) -> None:
        """Submit a job and wait for its end."""
        raise NotImplementedError


class OldClient(SmallClient):
    """As written for the hub: it connects, submits and listens. Refused in words, its team lets it use HTTP."""

    async def one_job(self, address: str) -> None:
        """Over a WebSocket, or over HTTP once it was told to."""
        try:
            await self._over_the_websocket(address)
        except ExpectationTimeout:
            sentence = next((frame["error"] for frame in self._last.messages("error")), "")
            if not sentence:
                raise
            self.told.append(sentence)
            async with HybridClient(address, client_id=self.name, mode="http") as client:
                job = await client.submit("simulation", JOB)
                assert (await client.wait(job.job_id, timeout_s=30)).ok
                self.done.append((address, job.job_id))

    async def _over_the_websocket(self, address: str) -> None:
        self._last = LegacyClient(address.replace("http", "ws", 1), self.name)
        async with self._last as client:
            await client.expect("connection_established")
            job_id = await client.submit(JOB)
            assert (await client.ended(job_id))["type"] == "complete_job"
            self.done.append((address, job_id))


class NewClient(SmallClient):
    """Written with `HybridClient`: on the hub it speaks over a WebSocket, on the stack over HTTP, and does not care."""

    async def one_job(self, address: str) -> None:
        """Whichever way goes."""
        async with HybridClient(address, client_id=self.name) as client:
            job = await client.submit("simulation", JOB)
            assert (await client.wait(job.job_id, timeout_s=30)).ok
            self.done.append((address, job.job_id))


class Team:
    """The ten of them."""

    def __init__(self, address: str) -> None:
        self.old: list[SmallClient] = [OldClient(f"team-{number}", address) for number in range(1, OLD + 1)]
        self.new: list[SmallClient] = [NewClient(f"team-{OLD + number}", address) for number in range(1, HYBRID + 1)]
        self.all = self.old + self.new

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """While the others do something, each runs job after job; at the end each finishes the one it has."""
        async with asyncio.TaskGroup() as group:
            for client in self.all:
                client.stopped = False
                group.create_task(client.run(), name=client.name)
            try:
                yield
            finally:
                for client in self.all:
                    client.stopped = True
