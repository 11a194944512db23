"""`hubgate up` is guarded where a token is set, as `hubgate api` is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from harness.processes import free_port
from harness.testing.waiting import until

TOKEN = "s3cret"
JOB = {"service_required": "simulation", "payload": {}}
WITHIN_S = 60


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[tuple[str, psutil.Process]]:
    """A stack whose token stands in the environment; its URL and its process."""
    port, log = free_port(), tmp_path / "up.log"
    command = [sys.executable, "-m", "hubgate", "up", "--workers", "1", "--port", str(port), "--data", "data"]
    with log.open("w") as output:
        environment = os.environ | {"WEBSOCKET_AUTH_TOKEN": TOKEN}
        stack = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=output, stderr=output)
    try:
        await until(lambda: "Stop all of it" in log.read_text() or stack.poll() is not None, within=WITHIN_S)
        assert stack.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}", psutil.Process(stack.pid)
    finally:
        stack.terminate()
        assert stack.wait(WITHIN_S) == 0


async def test_with_a_token_in_the_environment_nobody_comes_in_without_it(
    guarded: tuple[str, psutil.Process], tmp_path: Path
) -> None:
    url, stack = guarded
    for shown, statuses in (({}, (401, 401)), ({"Authorization": f"Bearer {TOKEN}"}, (201, 200))):
        with httpx.Client(base_url=url, headers=shown, trust_env=False) as client:
            assert (client.post("/api/jobs", json=JOB).status_code, client.get("/api/jobs").status_code) == statuses
    lists = [process.cmdline() for process in (stack, *stack.children(recursive=True))]
    assert any("new_stack.api" in words for words in lists)
    assert not any(TOKEN in word for words in lists for word in words)
    logs = {file.name: file.read_text() for file in (tmp_path / "up.log", *tmp_path.glob("data/**/*.log"))}
    assert any("api_ready" in text for text in logs.values())
    assert not [name for name, text in logs.items() if TOKEN in text]
