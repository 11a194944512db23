"""A worker of the hub: takes the jobs that it is offered over WebSocket and plays their script."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from typing import Any, Final

import msgspec

from harness.actors.conversation import Conversation, Message, NotHeard
from harness.protocols.script import Step, steps_of

HEARTBEAT_S: Final = 10.0


class HubWorker(Conversation):
    """A worker at `/ws/worker/{id}`; `serve` works until it is cancelled.

    `attempts` counts how often each job was begun. The hub does not tell a worker, so the workers of one run share it.
    """

    def __init__(
        self,
        ws_url: str,
        worker_id: str,
        *,
        services: tuple[str, ...] = ("simulation",),
        attempts: Counter[str] | None = None,
        token: str | None = None,
    ) -> None:
        super().__init__(f"{ws_url}/ws/worker/{worker_id}", worker_id, token=token)
        self.services = services
        self.attempts = Counter[str]() if attempts is None else attempts
        self._pieces: dict[str, list[str]] = {}

    async def register(self) -> None:
        """Say what it can do, and be ready for offers."""
        heard = len(self.heard)
        capabilities = {"version": "1.0.0", "supported_job_types": list(self.services)}
        await self._tell("register_worker", capabilities=capabilities, subscribe_to_jobs=True, status="idle")
        await self.expect("worker_registered", after=heard)

    async def serve(self) -> None:
        """Register, then take and do jobs until cancelled or disconnected."""
        await self.register()
        place = 0
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(self._beat())
            with contextlib.suppress(NotHeard):
                while True:
                    message = await self.hear(_is_work, "work", timeout_s=3600, after=place)
                    place = next(n for n in range(place, len(self.heard)) if self.heard[n].message is message) + 1
                    whole = self._assembled(message)
                    if whole is not None:
                        await self._react(whole)
            beating.cancel()

    async def _react(self, message: Message) -> None:
        """Claim what is offered, do what is given. What comes while a job runs is looked at after it."""
        if message["type"] == "job_available":
            await self._tell("claim_job", job_id=message["job_id"])
        elif message["type"] == "job_assigned":
            await self.perform(str(message["job_id"]), message.get("params"))
            await self._tell("worker_status", status="idle")

    async def perform(self, job_id: str, payload: Any) -> None:
        """Play a job's script to its end."""
        self.attempts[job_id] += 1
        try:
            steps = steps_of(payload)
        except ValueError as error:
            await self._tell("fail_job", job_id=job_id, error=str(error))
            return
        result: Any = {"status": "success"}
        for step in steps:
            if step.sleep_ms is not None:
                await asyncio.sleep(step.sleep_ms / 1000)
            if step.progress is not None:
                await self._report(job_id, step)
            if step.fail is not None and (step.attempts is None or self.attempts[job_id] <= step.attempts):
                await self._tell("fail_job", job_id=job_id, error=step.fail)
                return
            if step.hang:
                await asyncio.Event().wait()
            result = result if step.result is msgspec.UNSET else step.result
        await self._tell("complete_job", job_id=job_id, result=result)

    async def _report(self, job_id: str, step: Step) -> None:
        details = {"connector_details": {"sent_at": time.time()}} if step.stamp else {}
        await self._tell(
            "update_job_progress",
            job_id=job_id,
            progress=step.progress,
            status="processing",
            message=step.message,
            **details,
        )

    async def _tell(self, word: str, **fields: Any) -> None:
        await self.say({"type": word, "worker_id": self.name, **fields})

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._tell("worker_heartbeat")

    def _assembled(self, message: Message) -> Message | None:
        """A message, or one that was split once its last piece is there."""
        if message["type"] != "chunked_message":
            return message
        pieces = self._pieces.setdefault(message["message_id"], [])
        pieces.append(message["content"])
        if len(pieces) < message["total_chunks"]:
            return None
        whole: Message = msgspec.json.decode("".join(self._pieces.pop(message["message_id"])))
        return whole


def _is_work(message: Message) -> bool:
    return message.get("type") in {"job_available", "job_assigned", "chunked_message"}
