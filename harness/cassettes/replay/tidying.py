"""On a target that is not ours: the jobs of a replay are cancelled after it, so that they do not stand in the next
one's way, nor in anybody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from harness.targets import Target

TIDY_S: Final = 3.0


async def tidy_up(target: Target, job_ids: Iterable[str]) -> None:
    """Cancel what is left of these jobs, in the words that both sides know. What cannot be cancelled stays."""
    waiting = set(job_ids)
    query = f"?token={quote(target.token)}" if target.token else ""
    url = f"{target.ws_url}/ws/client/hubgate-tidying-{uuid4()}{query}"
    with contextlib.suppress(OSError, TimeoutError, WebSocketException):
        async with asyncio.timeout(TIDY_S), connect(url, proxy=None, max_size=None) as connection:
            for job_id in waiting:
                await connection.send(
                    json.dumps({"type": "cancel_job", "job_id": job_id, "reason": "a replay is over"})
                )
            while waiting:
                answer = str(await connection.recv())
                waiting -= {job_id for job_id in waiting if job_id in answer}
