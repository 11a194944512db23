"""`hubgate up` heeds what stands in its environment: a token, and whether jobs are matched."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil

from harness.processes import free_port
from harness.testing.waiting import until

TOKEN = "s3cret"
JOB = {"service_required": "simulation", "payload": {}}
WITHIN_S = 60


@contextlib.asynccontextmanager
async def up(folder: Path, **environment: str) -> AsyncIterator[tuple[str, psutil.Process]]:
    """A stack with this in its environment; its URL and its process."""
    port, log = free_port(), folder / "up.log"
    command = [sys.executable, "-m", "hubgate", "up", "--workers", "1", "--port", str(port), "--data", "data"]
    with log.open("w") as output:
        stack = subprocess.Popen(command, cwd=folder, env=os.environ | environment, stdout=output, stderr=output)
    try:
        await until(lambda: "Stop all of it" in log.read_text() or stack.poll() is not None, within=WITHIN_S)
        assert stack.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}", psutil.Process(stack.pid)
    finally:
        stack.terminate()
        assert stack.wait(WITHIN_S) == 0


def only_with_the_token(url: str) -> None:
    for shown, statuses in (({}, (401, 401)), ({"Authorization": f"Bearer {TOKEN}"}, (201, 200))):
        with httpx.Client(base_url=url, headers=shown, trust_env=False) as client:
            assert (client.post("/api/jobs", json=JOB).status_code, client.get("/api/jobs").status_code) == statuses


async def test_with_a_token_in_the_environment_nobody_comes_in_without_it(tmp_path: Path) -> None:
    async with up(tmp_path, WEBSOCKET_AUTH_TOKEN=TOKEN) as (url, stack):
        only_with_the_token(url)
        lists = [process.cmdline() for process in (stack, *stack.children(recursive=True))]
    assert any("new_stack.api" in words for words in lists)
    assert not any(TOKEN in word for words in lists for word in words)
    logs = {file.name: file.read_text() for file in (tmp_path / "up.log", *tmp_path.glob("data/**/*.log"))}
    assert any("api_ready" in text for text in logs.values())
    assert not [name for name, text in logs.items() if TOKEN in text]


async def test_with_matching_in_the_environment_no_worker_takes_what_it_cannot_do(tmp_path: Path) -> None:
    async with (
        up(tmp_path, HUBGATE_MATCHING="true") as (url, _),
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
    ):
        large = JOB | {"id": "large", "requirements": {"hardware": {"gpu_memory_gb": 9000}}}
        assert (await http.post("/api/jobs", json=large)).status_code == 201
        assert (await http.post("/api/jobs", json=JOB | {"requirements": {"colour": "red"}})).status_code == 422
        assert (await http.post("/api/jobs", json=JOB | {"id": "behind"})).status_code == 201

        async def status(job_id: str) -> str:
            return str((await http.get(f"/api/jobs/{job_id}")).json()["status"])

        async def behind_is_done() -> bool:
            return await status("behind") == "completed"

        await until(behind_is_done, within=WITHIN_S)
        assert await status("large") == "pending"


def test_a_port_that_somebody_else_has_is_told_and_nothing_seems_to_be_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "hubgate", "up", "--workers", "0", "--port", port, "--data", "data"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"hubgate: cannot listen on 127.0.0.1:{port}: another program has the port\n"
