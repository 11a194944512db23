"""What an API server does again and again beside its requests."""

from __future__ import annotations

import asyncio
import json
from typing import cast

import pytest

from new_stack.api.app import every
from new_stack.api.services import Services
from new_stack.queue import QueueError, QueueUnavailable


async def test_work_that_fails_at_each_turn_is_told_once_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    turns = [None, QueueError("wrong type"), QueueError("wrong type"), QueueUnavailable("away"), None, None]
    over = asyncio.Event()

    async def look(_: Services) -> None:
        if not turns:
            over.set()
            return
        if (error := turns.pop(0)) is not None:
            raise error

    working = asyncio.create_task(every(lambda: 0, look, cast("Services", None)))
    async with asyncio.timeout(10):
        await over.wait()
    working.cancel()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line.get("error")) for line in lines] == [
        ("look_failed", "wrong type"),
        ("look_works_again", None),
    ]
