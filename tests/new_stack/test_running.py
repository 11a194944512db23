"""docs/running.md, docs/settings.md and the files that deploy the stack say what is so."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import yaml

from harness.processes import free_port
from new_stack.api.settings import ApiSettings
from new_stack.queue.settings import QueueSettings
from new_stack.worker.settings import WorkerSettings
from tests.new_stack.conftest import ValkeyProcess

ROOT = Path(__file__).parents[2]
RUNNING = (ROOT / "docs/running.md").read_text()
SETTINGS = (ROOT / "docs/settings.md").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
UNITS = sorted((ROOT / "deploy").glob("*.service"))

PYTHONS_OWN = {"PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}


def defaults() -> dict[str, str]:
    """Every environment name with its default as the page writes it."""
    found: dict[str, str] = {}
    for kind in (WorkerSettings, QueueSettings, ApiSettings):
        for field in msgspec.structs.fields(kind):
            if field.name not in {"queue", "worker_id", "connectors", "capabilities"}:
                name = "REDIS_URL" if field.name == "redis_url" else kind.variable(field.name)
                found[name] = shown(field.default)
    return found | {
        "WORKER_ID": "host, process and a random end",
        "WORKER_CONNECTORS": "needed",
        "WORKER_CAPABILITIES": "none",
    }


def shown(value: Any) -> str:
    if value in ("", ()):
        return "none"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table_rows(text: str) -> Iterator[tuple[str, str]]:
    yield from re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| .+ \|$", text, re.MULTILINE)


def test_the_tables_of_settings_are_whole_and_true() -> None:
    rows = list(table_rows(SETTINGS))
    assert len(rows) == len(dict(rows))
    assert dict(rows) == defaults()


SIZES = RUNNING.partition("## What does it take?")[2].partition("\n## ")[0]


@pytest.mark.parametrize("row", [line for line in SIZES.splitlines() if line.startswith("| ")][2:])
def test_each_size_on_the_page_is_held_by_a_test(row: str) -> None:
    held_by = re.search(r"`(tests/[\w/]+\.py)::(\w+)`", row)
    assert held_by
    assert f"def {held_by[2]}(" in (ROOT / held_by[1]).read_text()


def test_every_environment_name_on_the_page_is_known() -> None:
    named = set(re.findall(r"\b(?:WORKER|HUBGATE|API|REDIS|CORS|WEBSOCKET)_[A-Z_]+\b", RUNNING + SETTINGS))
    assert named <= set(defaults())


def environment_of_units() -> Iterator[tuple[str, str]]:
    for file in (*UNITS, ROOT / "deploy/hubgate.env"):
        for line in file.read_text().splitlines():
            name, equals, _ = line.removeprefix("Environment=").partition("=")
            if equals and (line.startswith("Environment=") or file.suffix == ".env") and not line.startswith("#"):
                yield file.name, name


def environment_of_compose() -> Iterator[tuple[str, str]]:
    for service, parts in COMPOSE["services"].items():
        for name in parts.get("environment", {}):
            yield service, name


def environment_of_dockerfile() -> Iterator[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith("ENV "):
            for assignment in line[4:].split():
                yield "Dockerfile", assignment.partition("=")[0]


@pytest.mark.parametrize("names", [environment_of_units, environment_of_compose, environment_of_dockerfile])
def test_every_environment_name_that_deploys_the_stack_is_known(names: Any) -> None:
    found = list(names())
    assert found
    assert [(where, name) for where, name in found if name not in defaults() and name not in PYTHONS_OWN] == []


def test_a_worker_is_killed_only_after_its_grace_period() -> None:
    worker = COMPOSE["services"]["worker"]
    grace_ms = int(worker["environment"]["WORKER_SHUTDOWN_GRACE_MS"])
    assert int(worker["stop_grace_period"].removesuffix("s")) * 1000 > grace_ms + WorkerSettings().stop_grace_ms
    [unit] = [unit for unit in UNITS if "worker" in unit.name]
    stop_s = int(re.findall(r"^TimeoutStopSec=(\d+)$", unit.read_text(), re.MULTILINE)[0])
    assert stop_s * 1000 > grace_ms + WorkerSettings().stop_grace_ms


def test_compose_has_the_services_that_the_page_tells_of() -> None:
    assert set(COMPOSE["services"]) == {"redis", "api-1", "api-2", "worker", "proxy"}
    assert "WORKER_ID" not in COMPOSE["services"]["worker"]["environment"], "copies would share one id"
    proxied = re.findall(r"reverse_proxy (.+) \{", (ROOT / "deploy/Caddyfile").read_text())
    assert proxied == ["api-1:8000 api-2:8000"]
    assert "noeviction" in COMPOSE["services"]["redis"]["command"]
    for service in ("api-1", "api-2", "worker"):
        assert COMPOSE["services"][service]["depends_on"] == {"redis": {"condition": "service_healthy"}}


STAGES = (ROOT / "Dockerfile").read_text().split("\nFROM ")


def copied(stages: list[str]) -> set[str]:
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", "\n".join(stages), re.MULTILINE)
    return {source for line in lines for source in line.split()}


def test_what_the_images_copy_is_there_and_not_ignored() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignore if line.startswith("!")} == copied(STAGES)
    assert [source for source in copied(STAGES) if not (ROOT / source).exists()] == []


def test_the_stacks_image_is_the_last_and_the_harness_has_all_that_is_installed() -> None:
    assert STAGES[-1].rstrip().endswith('CMD ["python", "-m", "new_stack.api"]')
    [stage] = [stage for stage in STAGES if stage.startswith("python:3.12-slim AS gate-packages")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    needed = {project["project"]["readme"], "LICENSE", "pyproject.toml", "requirements/gate.txt"}
    assert copied([stage]) == packages | needed


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here to ask")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong_with_a_unit(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text(), flags=re.MULTILINE)
    copy.write_text(re.sub(r"^User=.*\n|^Group=.*\n|^Documentation=.*\n", "", text, flags=re.MULTILINE))
    said = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr.strip()) == (0, "")


def started(command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    assert command[0] == "python"
    clean = {name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(value)) for name, value in environment.items()}
    return subprocess.Popen(
        [sys.executable, *command[1:]], cwd=ROOT, env={"PYTHONPATH": str(ROOT)} | clean, stderr=subprocess.DEVNULL
    )


async def test_the_commands_and_settings_of_compose_start_a_stack_that_runs_a_job(own_valkey: ValkeyProcess) -> None:
    port = free_port()
    here = {
        "REDIS_URL": own_valkey.url,
        "WORKER_CONNECTORS": "simulation",
        "API_HOST": "127.0.0.1",
        "API_PORT": str(port),
    }
    services = COMPOSE["services"]
    processes = [
        started(services[name]["command"], services[name]["environment"] | here) for name in ("api-1", "worker")
    ]
    try:
        async with asyncio.timeout(30), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            await ready(session)
            async with session.post("/api/jobs", json={"service_required": "simulation"}) as response:
                assert response.status == 201
                job = await response.json()
            while job["status"] != "completed":
                await asyncio.sleep(0.05)
                async with session.get(f"/api/jobs/{job['job_id']}") as response:
                    job = await response.json()
    finally:
        for process in processes:
            process.terminate()
        assert [process.wait(timeout=20) for process in processes] == [0, 0]


async def ready(session: aiohttp.ClientSession) -> None:
    while True:
        try:
            async with session.get("/health/ready") as response:
                if response.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.05)
