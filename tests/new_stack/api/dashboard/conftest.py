"""A stack with thousands of jobs, and a browser that looks at it."""

from __future__ import annotations

import math
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.processes import Launch, Processes, start_valkey
from harness.targets import Deployment, Setup
from new_stack.queue import QueueSettings
from tests.browser import PATH, Tab, browser

from .workers import CONNECTOR

SERVICES = ("image", "caption", "upscale")
JOBS = 8_000
"""With the flood of test_recovery.py 10,000."""
FAIL_EVERY = 25
CANCELLED = 40
DEADLINE = 90.0


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the packages that package-lock.json pins."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: the packages of package.json cannot be had")
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(Path(__file__).parent / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=DEADLINE, check=False)
    if done.returncode:
        pytest.skip(f"npm could not get the packages: {done.stderr.strip()[-200:]}")
    return folder / "node_modules"


@dataclass
class Stack:
    """A stack of three services under test, and what was put into it."""

    deployment: Deployment
    journal: Path
    """Where its workers write down what they ran."""
    submitted: int = 0
    failing: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.base, timeout=DEADLINE, trust_env=False)

    @property
    def base(self) -> str:
        return self.deployment.target.http_url

    @property
    def queue_settings(self) -> QueueSettings:
        return QueueSettings(redis_url=self.deployment.target.redis_url, matching=True)

    def worker(self, name: str) -> Launch:
        """How a worker of its services is started."""
        about = f"services={'+'.join(SERVICES)},step_ms=1,journal={self.journal},worker={name}"
        return self.deployment.worker_launch(name, concurrency=4, connector=f"{CONNECTOR}:{about}")

    def get(self, path: str, **query: Any) -> Any:
        until = time.monotonic() + DEADLINE
        while (answer := self.http.get(path, params=query)).status_code == 503 and time.monotonic() < until:
            time.sleep(float(answer.headers["Retry-After"]))  # on a busy machine Redis is late
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def submit(self, *jobs: dict[str, Any]) -> None:
        for start in range(0, len(jobs), 1000):
            for outcome in self.post("/api/jobs", list(jobs[start : start + 1000])):
                assert outcome["status"] == 201, outcome
        self.submitted += len(jobs)

    def history(self, length: str) -> dict[str, dict[str, int]]:
        """What happened in a range, by service."""
        kinds = ("submitted", "completed", "failed", "cancelled")
        series = self.get("/api/history", range=length, by="service")["series"]
        return {one["service"]: {kind: one["total"][kind] for kind in kinds} for one in series}

    def settled(self) -> dict[str, Any]:
        """Wait until nothing waits or runs any more, as long as jobs end; answers the counts."""
        left, until = math.inf, 0.0
        while True:
            counts: dict[str, Any] = self.get("/api/stats")["queue"]
            now = counts["pending"] + counts["claimed"]
            if not now:
                return counts
            if now < left:
                left, until = now, time.monotonic() + DEADLINE
            assert time.monotonic() < until, counts
            time.sleep(0.1)

    def crowd(self, count: int, prefix: str = "job") -> None:
        """Submit jobs of three services, of which some fail for good, and cancel some."""
        jobs = [order(f"{prefix}-{number:05d}", number) for number in range(count)]
        self.submit(*jobs)
        self.failing += [job["id"] for number, job in enumerate(jobs) if number % FAIL_EVERY == 7]
        waiting = [order(f"{prefix}-later-{number}", number) for number in range(CANCELLED)]
        later = round(time.time() * 1000) + 600_000
        self.submit(*(job | {"not_before": later} for job in waiting))
        for job in waiting:
            self.post(f"/api/jobs/{job['id']}/cancel", {"reason": "changed my mind"})
            self.cancelled.append(job["id"])


def order(job_id: str, number: int) -> dict[str, Any]:
    """A small job; every 25th fails for one of two reasons, with its own number in it."""
    steps: list[dict[str, Any]] = [{"progress": 40, "message": "sampling"}, {"log": f"step 1 of {number}"}]
    if number % FAIL_EVERY == 7:
        what = "HTTP 503 from back end" if number % 2 else "out of memory: wanted"
        steps.append({"fail": f"{what} {number}"})
    steps.append({"result": {"image": f"{job_id}.png", "seed": 12345678901234567890}})
    return {
        "id": job_id,
        "service_required": SERVICES[number % 3],
        "priority": number % 2,
        "client_id": f"shop-{number % 4}",
        "max_retries": 1,
        "retry_policy": {"backoff_base_ms": 10},
        "payload": {"prompt": f"cat {number}", "scale": 1.0, "simulate": steps},
    }


@pytest.fixture(scope="package")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("dashboard")) as found:
        yield found


@pytest.fixture(scope="package")
def stack(processes: Processes) -> Stack:
    """A stack whose jobs have ended: many completed, some failed, some cancelled."""
    deployment = Deployment.start(processes, Setup(environment={"HUBGATE_MATCHING": "true"}), start_valkey(processes))
    found = Stack(deployment, processes.folder / "journal")
    deployment.start_workers([found.worker(f"worker-{n}") for n in (1, 2, 3)])
    found.crowd(JOBS)
    found.settled()
    return found


@pytest.fixture(scope="package")
def shared_tab(stack: Stack) -> Iterator[Tab]:
    if PATH is None:
        pytest.skip("chromium is not installed: the dashboard was not tried in a browser")
    with browser(stack.base) as tab:
        tab.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
        yield tab


@pytest.fixture
def tab(shared_tab: Tab) -> Iterator[Tab]:
    """The browser; nothing may be loaded from elsewhere, and no script may fail."""
    shared_tab.complaints.clear()
    shared_tab.look(1400, 900)
    shared_tab.call("Page.bringToFront")
    yield shared_tab
    assert shared_tab.complaints == []
