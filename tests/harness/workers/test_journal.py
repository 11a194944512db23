"""The journal: whole lines that outlive a kill, one file a process, and what a worker of the stack writes in it."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from harness.processes import Processes, start_valkey
from harness.processes.services import PROJECT_ROOT
from harness.protocols import EventKind
from harness.targets import Crew, Deployment, Setup
from harness.targets.deployment import sizes_of
from harness.testing.waiting import until
from harness.workers.journal import Entry, Journal, digest_of, entries_in

WRITES_UNTIL_KILLED = """
import sys
from pathlib import Path
from harness.workers.journal import Journal
journal = Journal(Path(sys.argv[1]), "w")
for number in range(10**9):
    with journal.run("w", f"job-{number}", "simulation", 1) as run:
        run.completed(number)
    if number == 100:
        print("under way", flush=True)
"""


def test_what_was_written_outlives_a_kill(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITES_UNTIL_KILLED, str(tmp_path)]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    entries = list(entries_in(tmp_path))
    assert len(entries) > 200
    assert all(entry.pid == writer.pid for entry in entries)
    assert all(before.at_ms <= after.at_ms for before, after in pairwise(entries))
    jobs = [entry.job for entry in entries if entry.kind is EventKind.STARTED]
    assert jobs == [f"job-{number}" for number in range(len(jobs))]


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    journal.serving("w", ["a"], 1)
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes() + b'{"at_ms": 1')
    assert [entry.kind for entry in entries_in(tmp_path)] == [EventKind.SERVING]


def test_a_run_ends_as_it_said_or_was_told_to_stop(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    with journal.run("w", "a", "simulation", 1) as first, journal.run("w", "b", "simulation", 2) as second:
        first.step(50)
        second.failed()
    with pytest.raises(KeyError), journal.run("w", "c", "simulation", 1):
        raise KeyError
    with journal.run("w", "d", "simulation", 1) as run:
        run.completed({"b": 1, "a": [2]})
    found = list(entries_in(tmp_path))
    ends = {entry.job: (entry.of, entry.result) for entry in found if entry.kind is EventKind.FINISHED}
    assert ends == {
        "a": (EventKind.RELEASED, ""),
        "b": (EventKind.ATTEMPT_FAILED, ""),
        "c": (EventKind.RELEASED, ""),
        "d": (EventKind.COMPLETED, digest_of({"a": [2], "b": 1})),
    }
    assert [entry.in_use for entry in found if entry.kind is EventKind.STARTED] == [1, 2, 1, 1]


async def test_workers_of_the_stack_write_what_they_run(tmp_path: Path) -> None:
    """Also one that the job kills, whose successor has a file of its own."""
    journal = tmp_path / "a folder, with a comma"
    async with Processes(tmp_path / "logs") as processes:
        settings = {"HUBGATE_LEASE_MS": "600", "WORKER_HEARTBEAT_INTERVAL_MS": "200"}
        settings |= {"HUBGATE_MAX_DELIVERIES": "1", "HUBGATE_MAX_RETRIES": "0"}
        stack = await Deployment.astart(processes, Setup(environment=settings, poll_ms=200), start_valkey(processes))
        crews = [Crew(services=("render",), places=2), Crew(services=("thumbnail", "simulation"))]
        workers = await stack.astart_workers(stack.crew_launches(crews, 2, journal))

        async with httpx.AsyncClient(base_url=stack.target.http_url) as http:

            async def run(service: str, *script: object) -> str:
                body = {"service_required": service, "payload": {"simulate": script}}
                job_id = (await http.post("/api/jobs?wait=10", json=body)).json()["job_id"]

                async def ended() -> bool:
                    return (await http.get(f"/api/jobs/{job_id}")).json()["status"] in ("completed", "failed")

                await until(ended)
                return str(job_id)

            good = await run("simulation", {"progress": 10}, {"result": {"for": "me"}})
            hidden = await run("simulation", {"result": {"success": False, "error": "no such model"}})
            poison = await run("render", {"crash": True})
        await until(lambda: not workers[0].alive)
    entries = list(entries_in(journal))
    assert [(one.worker, one.services, one.places) for one in entries if one.kind is EventKind.SERVING] == [
        ("worker-1", ("render",), 2),
        ("worker-2", ("thumbnail", "simulation"), 1),
    ]

    def ran(job_id: str) -> list[Entry]:
        return [entry for entry in entries if entry.job == job_id]

    kinds = [EventKind.STARTED, EventKind.STEPPED, EventKind.FINISHED]
    assert [(one.worker, one.kind, one.attempt) for one in ran(good)] == [("worker-2", kind, 1) for kind in kinds]
    assert ran(hidden)[-1].of is EventKind.ATTEMPT_FAILED, "a result that reports a failure is one"
    assert ran(good)[-1].result == digest_of({"for": "me"})
    assert [(one.worker, one.kind) for one in ran(poison)] == [
        ("worker-1", EventKind.STARTED),
        ("worker-1", EventKind.POISONED),
    ]


@pytest.mark.parametrize(
    ("shares", "count", "sizes"),
    [((1, 1), 4, [2, 2]), ((5, 1, 1), 48, [34, 7, 7]), ((9, 1), 2, [1, 1]), ((1, 1, 1), 16, [5, 5, 6])],
)
def test_a_fleet_is_shared_out_among_its_crews(shares: tuple[int, ...], count: int, sizes: list[int]) -> None:
    found = sizes_of([Crew(services=("a",), share=share) for share in shares], count)
    assert sorted(found) == sorted(sizes)
    assert sum(found) == count
