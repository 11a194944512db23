"""A stack that is not ours, judged by its protocol alone: a sound one, and the same with one fault at a time."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from msgspec.structs import replace

from harness.gate.context import Options
from harness.gate.preflight import Refused
from harness.gate.run import run_gate
from harness.processes import Launch, Process, Processes, Valkey, free_port, http_ok
from harness.protocols.description import Described
from harness.protocols.known import protocol_of
from harness.results import Criterion, Verdict
from tests.pages import like, parts

FOREIGN = Path(__file__).parents[2] / "foreign_stack"
FAULTS = {
    "no-progress": "progress",
    "newest-first": "mixed-clients",
    "job-submitted": "legacy-clients",
    "no-cancel": "mixed-clients",
    "lost-at-sigkill": "nothing-lost",
    "busy-drops": "nothing-lost",
}
"""Each with the criterion that tells of it, in the order of the README."""
JUDGED = (
    *("legacy-clients", "modern-clients", "same-facts", "mixed-clients", "migration"),
    *("claims", "progress", "nothing-lost"),
)


def described(fault: str = "") -> Described:
    """The file of that stack's team; its workers have the fault, too."""
    told = protocol_of(str(FOREIGN / "protocol.toml")).description
    assert told.worker is not None
    environment = told.worker.environment | {"FAULTS": fault}
    return Described(replace(told, worker=replace(told.worker, environment=environment)), FOREIGN)


@contextmanager
def running(processes: Processes, url: str, fault: str = "") -> Iterator[Process]:

    port = free_port()
    launch = Launch(
        name=f"foreign-{fault or 'sound'}",
        command=(sys.executable, str(FOREIGN / "server.py"), str(port), url),
        environment={"FAULTS": fault},
        probe=http_ok("127.0.0.1", port, "/health"),
        port=port,
    )
    server = processes.start(launch)
    try:
        yield server
    finally:
        server.stop()


async def judged(server: Process, url: str, out: Path, fault: str, *only: str) -> dict[str, Criterion]:
    options = Options(out=out, candidate=server.http_url, redis=url, protocol=described(fault), only=only, waivers=None)
    run, _ = await run_gate(options)
    return {criterion.id: criterion for criterion in run.criteria}


@pytest.mark.timeout(300)
async def test_a_sound_stack_of_somebody_else_passes_by_its_protocol_alone(
    processes: Processes, valkey: Valkey, tmp_path: Path
) -> None:
    url = valkey.url_of(1)
    bystander = redis.Redis.from_url(url, decode_responses=True)
    bystander.hset("job:theirs", mapping={"id": "theirs", "service_required": "theirs", "status": "pending"})
    bystander.zadd("jobs:pending:theirs", {"theirs": 1})
    with running(processes, url) as server:
        criteria = await judged(server, url, tmp_path, "")
    found = {name: criteria[name].explanation for name in JUDGED if criteria[name].verdict is Verdict.FAIL}
    assert not found
    assert all(criteria[name].measurements[0].observed == 0 for name in JUDGED)
    others = [criterion for criterion in criteria.values() if criterion.id not in JUDGED]
    assert all(criterion.left_out and criterion.explanation.endswith(".") for criterion in others)
    assert bystander.hget("job:theirs", "status") == "pending"
    assert bystander.zcard("jobs:pending:theirs") == 1


@pytest.mark.timeout(200)
@pytest.mark.parametrize(("fault", "criterion"), FAULTS.items())
async def test_each_fault_is_told_by_its_criterion_in_the_words_of_the_readme(
    processes: Processes, valkey: Valkey, tmp_path: Path, fault: str, criterion: str
) -> None:
    place = [*FAULTS].index(fault)
    url = valkey.url_of(2 + place)
    with running(processes, url, fault) as server:
        found = (await judged(server, url, tmp_path, fault, criterion))[criterion]
    assert found.verdict is Verdict.FAIL
    said = parts("README.md")["found"].splitlines()
    assert len(said) == len(FAULTS)
    assert like(said[place]).search(found.explanation), found.explanation


async def test_workers_whose_redis_is_not_given_are_not_started(
    processes: Processes, valkey: Valkey, tmp_path: Path
) -> None:
    with running(processes, valkey.url_of(10)) as server:
        options = Options(out=tmp_path, candidate=server.http_url, protocol=described())
        with pytest.raises(Refused, match="Give it with --redis"):
            await run_gate(options)


async def test_workers_that_would_take_the_jobs_of_others_are_not_started(
    processes: Processes, valkey: Valkey, tmp_path: Path
) -> None:
    told = described().description
    assert told.worker is not None
    greedy = Described(replace(told, worker=replace(told.worker, environment={})), FOREIGN)
    with running(processes, valkey.url_of(9)) as server:
        options = Options(out=tmp_path, candidate=server.http_url, redis=valkey.url_of(9), protocol=greedy)
        with pytest.raises(Refused, match="take every service"):
            await run_gate(options)
