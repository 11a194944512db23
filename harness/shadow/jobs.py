"""Which job on the candidate is which job on the hub."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from typing import Final

MOST_JOBS: Final = 100_000
"""Whose ids are remembered; of older ones nothing is followed any more."""


class KnownJobs:
    """The jobs of all followed clients, by the hub's ids. The candidate's are learned when it has accepted them."""

    def __init__(self, most: int = MOST_JOBS) -> None:
        self._most = most
        self._theirs: OrderedDict[str, asyncio.Future[str]] = OrderedDict()
        self._hubs: dict[str, str] = {}

    def __contains__(self, hub_id: object) -> bool:
        return hub_id in self._theirs

    def expect(self, hub_id: str) -> None:
        """The hub has accepted a job; the candidate has yet to do so, or did."""
        if hub_id not in self._theirs:
            self._theirs[hub_id] = asyncio.get_running_loop().create_future()
        while len(self._theirs) > self._most:
            _, oldest = self._theirs.popitem(last=False)
            if oldest.done():
                self._hubs.pop(oldest.result(), None)

    def bind(self, hub_id: str, candidate_id: str) -> None:
        """Both have accepted it."""
        self.expect(hub_id)
        if not self._theirs[hub_id].done():
            self._theirs[hub_id].set_result(candidate_id)
            self._hubs[candidate_id] = hub_id

    def hub_id_of(self, candidate_id: str) -> str | None:
        """The hub's id of a job of the candidate's, None where it is none of ours."""
        return self._hubs.get(candidate_id)

    async def candidate_id_of(self, hub_id: str, patience_s: float) -> str | None:
        """The candidate's id of a job, None where it has not accepted it in time."""
        found = self._theirs.get(hub_id)
        if found is None:
            return None
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(found), patience_s)
        return None
