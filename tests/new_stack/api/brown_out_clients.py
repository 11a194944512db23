"""What clients of a stack meet whose deprecation is changed while it runs."""

from __future__ import annotations

from typing import Any

import aiohttp

from .conftest import Api, Socket

ALWAYS = '[[brown_out]]\nschedule = "* * * * *"\nminutes = 2\n'
"""Brown-outs that follow one another without a pause."""


OLD = {"job_type": "simulation", "payload": {}}


async def greeted(api: Api, path: str) -> tuple[aiohttp.ClientWebSocketResponse, dict[str, Any]]:
    socket = await api.socket(path)
    return socket.raw, await socket.receive()


async def refused(api: Api, name: str) -> str:
    """The sentence with which a new connection is refused."""
    socket = await api.socket(f"/ws/client/{name}")
    message = await socket.receive()
    assert message["type"] == "error", message
    assert await socket.closed() == 4410
    return str(message["error"])


async def served(api: Api, name: str) -> bool:
    """Whether a new connection is greeted."""
    socket = await api.socket(f"/ws/client/{name}")
    kind = (await socket.receive())["type"]
    await socket.raw.close()
    return bool(kind == "connection_established")


async def refuses(api: Api, name: str) -> bool:
    return not await served(api, name)


async def submitted(socket: Socket) -> str:
    await socket.send(type="submit_job", job_type="simulation", payload={})
    return str((await socket.until("job_accepted"))["job_id"])
