"""What all that is followed has in common: the candidate, the jobs of both sides, the ledger, and how much is kept."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import traceback
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any, Final
from urllib.parse import quote

from harness.cassettes.record import Redaction
from harness.clients.transport import Http
from harness.shadow.ledger import Ledger
from harness.shadow.traffic import Settings
from harness.targets import HubTarget
from harness.tasks import called_off

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


MOST_KEPT: Final = 256_000_000
"""Bytes of frames that wait to be compared."""
OF_A_FRAME: Final = 1_000
"""Bytes that a frame costs besides its text."""
_TOKEN: Final = re.compile(r"([?&]token=)[^&]*")


class World:
    """Shared by every mirror."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self.settings: Final = settings
        self.ledger: Final = ledger
        self.jobs: Final = KnownJobs()
        candidate = HubTarget.at(settings.candidate)
        self.ws_url: Final = candidate.ws_url
        self.http: Final = Http(candidate.http_url)
        self._kept = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    def now_ms(self) -> float:
        """ms since the proxy began, as its messages have it."""
        return round((time.monotonic() - self.settings.began) * 1000, 1)

    def redaction(self) -> Redaction:
        """What blanks secrets. Each thing that is compared has one of its own: it remembers what it has seen."""
        return self.settings.rules.redaction()

    def with_token(self, path: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
        """Path and headers with the candidate's own token where it has one."""
        token = self.settings.token
        if token is None:
            return path, headers
        if _TOKEN.search(path):
            path = _TOKEN.sub(lambda found: found[1] + quote(token), path)
        else:
            path += f"{'&' if '?' in path else '?'}token={quote(token)}"
        others = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        return path, {**others, "Authorization": f"Bearer {token}"}

    def took(self, data: str | bytes) -> int:
        """Count a frame that is kept. Answers its size."""
        size = len(data) + OF_A_FRAME
        self._kept += size
        return size

    def gave_back(self, size: int) -> None:
        """Count what is kept no longer."""
        self._kept -= size

    @property
    def is_full(self) -> bool:
        """Whether no more can be kept."""
        return self._kept > MOST_KEPT

    def failed(self, error: BaseException) -> str:
        """An error of our own: it ends what it befell, and nothing else. Answers the reason."""
        traceback.print_exception(error)
        return f"an error of the follower's own: {type(error).__name__}"

    def later(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something on the side."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what is done on the side."""
        await called_off(*self._tasks)
        await self.http.close()
