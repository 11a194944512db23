"""What is decided of a client holds for one that never stops talking, too, and until something else is decided."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from harness.testing.waiting import until

from .brown_out_clients import ALWAYS, refuses, served, submitted
from .conftest import Api, StartApi, Switchboard

SUBMISSION = '{"type": "submit_job", "job_type": "simulation", "payload": {}}'


@pytest.fixture
def board(tmp_path: Path, start_api: StartApi) -> Switchboard:
    return Switchboard(tmp_path / "deprecation.toml", start_api)


async def talk(api: Api) -> int:
    """Submit jobs without a pause, whatever is answered; the code with which the connection is closed at last."""
    socket = await api.client("busy")
    raw: aiohttp.ClientWebSocketResponse = socket.raw

    async def send() -> None:
        with suppress(aiohttp.ClientError, ConnectionError):
            while not raw.closed:
                await raw.send_str(SUBMISSION)

    sending = asyncio.create_task(send())
    try:
        async for _ in raw:
            pass
    finally:
        sending.cancel()
    return raw.close_code or 0


@pytest.mark.timeout(120)
async def test_a_client_that_submits_without_a_pause_is_interrupted(board: Switchboard) -> None:
    api = await board.api(messages_per_second=1_000_000)
    talking = asyncio.create_task(talk(api))
    await until(lambda: api.services.metrics.submitted["websocket"] > 100, within=30)
    board.write(ALWAYS + "interrupt = true\n")
    await until(lambda: refuses(api, "someone-else"))
    assert await asyncio.wait_for(talking, 20) == 4410


async def test_a_client_that_was_to_submit_no_more_may_submit_again_once_the_switch_is_taken_back(
    board: Switchboard,
) -> None:
    api = await board.api()
    socket = await api.client("busy")
    await submitted(socket)
    board.write("legacy = false")
    await until(lambda: refuses(api, "someone-else"))
    await socket.send(type="submit_job", job_type="simulation", payload={})
    assert (await socket.until("error"))["code"] == 4410
    board.write("legacy = true")
    await until(lambda: served(api, "someone-else"))

    async def taken() -> bool:
        await socket.send(type="submit_job", job_type="simulation", payload={})
        return (await socket.receive())["type"] == "job_accepted"

    await until(taken, within=10)
