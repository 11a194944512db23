"""The hub's protocols go, at the command line: a stack that is up, its file that is changed, who is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.processes import free_port

OLD = {"job_type": "simulation", "payload": {}}
WITHIN_S = 60


def hubgate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hubgate", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S, check=False)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """`hubgate up` in a folder, with a file that it is told of by its name there."""
    (tmp_path / "deprecation.toml").write_text("")
    port = free_port()
    command = [sys.executable, "-m", "hubgate", "up", "--workers", "1", "--port", str(port), "--data", "data"]
    environment = os.environ | {"HUBGATE_DEPRECATION_FILE": "deprecation.toml"}
    with (tmp_path / "up.log").open("w") as log:
        stack = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        limit = time.monotonic() + WITHIN_S
        while "Stop all of it" not in (tmp_path / "up.log").read_text():
            assert stack.poll() is None, (tmp_path / "up.log").read_text()
            assert time.monotonic() < limit
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        stack.terminate()
        assert stack.wait(WITHIN_S) == 0


def submit_until(url: str, status: int, client: str) -> httpx.Response:
    """Submit over the hub's REST until it is answered so."""
    limit = time.monotonic() + WITHIN_S
    while True:
        answer = httpx.post(f"{url}/api/jobs", json=OLD, headers={"Hubgate-Client": client}, trust_env=False)
        if answer.status_code == status:
            return answer
        assert time.monotonic() < limit, answer.text
        time.sleep(0.1)


def usage(folder: Path, url: str) -> dict[str, Any]:
    done = hubgate(folder, "usage", "--json", "--target", url)
    assert done.returncode == 0, done.stderr
    return {client["client"]: client for client in json.loads(done.stdout)["clients"]}


def test_a_stack_that_is_up_is_told_by_its_file_and_says_who_is_left(url: str, tmp_path: Path) -> None:
    told = tmp_path / "deprecation.toml"
    assert "Deprecation" not in submit_until(url, 200, "team-1").headers
    told.write_text("[[notice]]\ndeprecated = 2026-12-01\n")
    limit = time.monotonic() + WITHIN_S
    while "Deprecation" not in submit_until(url, 200, "team-1").headers:
        assert time.monotonic() < limit
    told.write_text('[[brown_out]]\nschedule = "* * * * *"\nminutes = 2\ninterrupt = true\n')
    assert "Brown-out" in submit_until(url, 410, "team-1").json()["detail"]
    modern = {"service_required": "simulation", "payload": {}}
    answer = httpx.post(f"{url}/api/jobs", json=modern, headers={"Hubgate-Client": "team-1"}, trust_env=False)
    assert answer.status_code == 201
    told.write_text("legacy = false\n")
    limit = time.monotonic() + WITHIN_S
    while "switched off" not in submit_until(url, 410, "team-1").json()["detail"]:
        assert time.monotonic() < limit
    told.write_text("")
    submit_until(url, 200, "team-2")
    found = usage(tmp_path, url)
    assert {way["protocol"] for way in found["team-1"]["ways"]} == {"rest", "http"}
    assert found["team-1"]["brown_outs"][0]["came_back"] == "http modern"
    assert not found["team-2"]["brown_outs"]
    shown = hubgate(tmp_path, "usage", "--target", url)
    assert "team-1" in shown.stdout
    assert "came back by http modern" in shown.stdout
    answer_of = hubgate(tmp_path, "retire", "--target", url)
    assert answer_of.returncode == 1
    assert "FAIL  WebSocket cannot go yet." in answer_of.stdout
    assert "team-2: last today by rest (hub)" in answer_of.stdout
