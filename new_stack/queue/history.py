"""The events of one job, from any point of its history on."""

from __future__ import annotations

from new_stack.queue.decoding import event_of
from new_stack.queue.events import Event
from new_stack.queue.function_caller import FunctionCaller


class History:
    """Reads what happened to one job."""

    def __init__(self, caller: FunctionCaller) -> None:
        self._caller = caller

    async def history(self, job_id: str, after: str = "0", *, count: int = 1_000_000) -> list[Event]:
        """The events of one job, oldest first, after that id, at most `count` of them."""
        limit = self._caller.settings.inline_result_limit
        entries = await self._caller.read("history", job_id, after, count, limit)
        return [event for entry in entries if (event := event_of(entry[0], entry[1]))]
