"""An existing client of the hub and a monitor, word for word as they speak."""

from __future__ import annotations

from typing import Any

from harness.actors.conversation import Conversation, Message

ENDINGS = frozenset({"complete_job", "fail_job"})


class LegacyClient(Conversation):
    """A client at `/ws/client/{id}`."""

    def __init__(self, ws_url: str, client_id: str, *, token: str | None = None) -> None:
        super().__init__(f"{ws_url}/ws/client/{client_id}", client_id, token=token)

    async def submit(
        self,
        payload: Any = None,
        *,
        job_type: str = "simulation",
        priority: int = 0,
        message_id: str | None = None,
        timeout_s: float = 10.0,
    ) -> str:
        """Submit a job and answer its id once it is accepted. Raises NotHeard."""
        heard = len(self.heard)
        message: Message = {"type": "submit_job", "job_type": job_type, "priority": priority, "payload": payload or {}}
        await self.say(message | ({"message_id": message_id} if message_id else {}))
        accepted = await self.expect("job_accepted", timeout_s=timeout_s, after=heard)
        return str(accepted["job_id"])

    async def status(self, job_id: str, *, timeout_s: float = 10.0) -> Message:
        """Ask how the job stands."""
        heard = len(self.heard)
        await self.say({"type": "request_job_status", "job_id": job_id})
        return await self.hear(
            lambda message: (
                message.get("type") == "response_job_status"
                and message.get("job_id") == job_id
                and message.get("status") != "processing"
            ),
            f"the status of {job_id}",
            timeout_s=timeout_s,
            after=heard,
        )

    async def subscribe(self, job_id: str, *, timeout_s: float = 10.0) -> None:
        """Ask to be told of a job."""
        heard = len(self.heard)
        await self.say({"type": "subscribe_job", "job_id": job_id})
        await self.expect("subscription_confirmed", job_id=job_id, timeout_s=timeout_s, after=heard)

    async def cancel(self, job_id: str, reason: str | None = None, *, timeout_s: float = 10.0) -> Message:
        """Cancel a job and answer what came of it."""
        heard = len(self.heard)
        await self.say({"type": "cancel_job", "job_id": job_id} | ({"reason": reason} if reason else {}))
        return await self.hear(
            lambda message: (
                (message.get("job_id") == job_id and message.get("status") == "cancelled")
                or (message.get("type") == "error" and job_id in str(message.get("error")))
            ),
            f"the cancellation of {job_id}",
            timeout_s=timeout_s,
            after=heard,
        )

    async def ended(self, job_id: str, *, timeout_s: float = 30.0) -> Message:
        """Wait until the job has completed, failed or been cancelled, by what the client is told."""
        return await self.hear(
            lambda message: (
                message.get("job_id") == job_id
                and (message.get("type") in ENDINGS or message.get("status") == "cancelled")
            ),
            f"the end of {job_id}",
            timeout_s=timeout_s,
        )


class Monitor(Conversation):
    """A monitor at `/ws/monitor/{id}`. It hears of every job; what else there is, `say` and `expect` do."""

    def __init__(self, ws_url: str, monitor_id: str, *, token: str | None = None) -> None:
        super().__init__(f"{ws_url}/ws/monitor/{monitor_id}", monitor_id, token=token)
