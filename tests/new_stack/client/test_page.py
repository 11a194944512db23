"""docs/client.md does what it says."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from new_stack import client
from new_stack.queue import Queue
from tests.new_stack.client.conftest import ROOT, StartApi
from tests.new_stack.conftest import ValkeyProcess
from tests.new_stack.worker.conftest import start_worker

__all__ = ["start_worker"]

PAGE = (ROOT / "docs/client.md").read_text()


async def output(program: str, url: str, folder: Path, shown: str = "http://127.0.0.1:8000") -> str:
    """What a program of the page prints when it talks to this server."""
    assert shown in program
    file = folder / "program.py"
    file.write_text(program.replace(shown, url))
    environment = {"PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, file, env=environment, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_its_programs_print_what_it_shows(
    start_api: StartApi, start_worker: object, queue: Queue, valkey: ValkeyProcess, tmp_path: Path
) -> None:
    api = await start_api()
    await start_worker()  # type: ignore[operator]
    first, blocking, several, straight = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    [shown] = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert await output(first, api.base, tmp_path) == shown
    assert await output(blocking, api.base, tmp_path) == "completed\n"
    images = {"images": 2}
    assert (await output(several, api.base, tmp_path)).endswith(f"Images(images=2)\n{[images] * 3}\n")
    told = await output(straight, valkey.url, tmp_path, shown="redis://127.0.0.1:6379/0")
    assert told == "pending\npayload: must be a JSON object, not str\n"


def test_its_table_of_errors_is_whole() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert named | {"ClientError"} == {
        name for name, kind in vars(client).items() if isinstance(kind, type) and issubclass(kind, Exception)
    }
