"""docs/protocol.md says what is so: its commands run, its tables are complete."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

from new_stack.queue import EventKind

from .conftest import Api, Work

PAGE = Path(__file__).parents[3] / "docs" / "protocol.md"
COMMANDS = re.findall(r"^    (curl (?:.*\\\n)*.*)$", PAGE.read_text(), re.MULTILINE)


def test_every_kind_of_event_is_told() -> None:
    page = PAGE.read_text()
    assert [kind for kind in EventKind if f"| `{kind.value}` |" not in page] == []


async def test_every_command_runs(api: Api, work: Work) -> None:
    await api.submit(id="order-1")
    await work.whole_job(50)
    assert len(COMMANDS) >= 2
    for command in COMMANDS:
        words = shlex.split(command.replace("\\\n", " ").replace("localhost:8000", api.base.removeprefix("http://")))
        process = await asyncio.create_subprocess_exec(
            *words, "--silent", "--show-error", "--fail-with-body", "--max-time", "5", stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, command
        assert b"order-1" in output or b'"job_id"' in output
