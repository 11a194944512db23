"""Matching inside claims: a job goes to a worker that can do it, and no other job stands in its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from new_stack.matching import offered
from new_stack.queue import (
    Claimant,
    Failed,
    InvalidJob,
    Lease,
    NewJob,
    Queue,
    QueueSettings,
    RetryPolicy,
    WorkerReport,
)
from tests.new_stack.queue.conftest import Redis, submission

Connect = Callable[..., Any]


@pytest.fixture
def settings(settings: QueueSettings) -> QueueSettings:
    return msgspec.structs.replace(settings, matching=True)


def job(job_id: str, requirements: Any = None, customer: str | None = None, **fields: Any) -> NewJob:
    own = {"requirements": requirements, "customer_id": customer}
    extra = msgspec.Raw(msgspec.json.encode({name: value for name, value in own.items() if value is not None}))
    return NewJob(**({"id": job_id, "service_required": "draw", "extra": extra} | fields))


def worker(worker_id: str, services: tuple[str, ...] = ("draw",), **capabilities: Any) -> Claimant:
    return Claimant(worker_id=worker_id, services=services, offers=offered(capabilities))


async def live(queue: Queue, claimant: Claimant) -> Claimant:
    """The same worker, reporting in."""
    capabilities = msgspec.json.decode(claimant.offers)
    report = WorkerReport(worker_id=claimant.worker_id, services=claimant.services, capabilities=capabilities)
    assert queue.claimant_of(report) == claimant
    await queue.heartbeat(report)
    return claimant


def ids(leases: list[Lease]) -> list[str]:
    return [lease.job_id for lease in leases]


@pytest.mark.parametrize("services", [("draw",), ("*",)])
async def test_a_job_goes_only_to_a_worker_that_can_do_it(queue: Queue, services: tuple[str, ...]) -> None:
    await queue.submit(job("large", {"hardware": {"gpu_memory_gb": 24}}, priority=9))
    await queue.submit(job("any"))
    await queue.submit(job("model", {"models": ["sdxl"]}))
    small = worker("small", services, hardware={"gpu_memory_gb": 12}, models=["sdxl"])
    assert ids(await queue.claim(small, 5)) == ["any", "model"]
    assert ids(await queue.claim(worker("big", services, hardware={"gpu_memory_gb": 24}), 5)) == ["large"]


async def test_the_order_is_priority_then_age_over_all_signatures_together(queue: Queue) -> None:
    for number, (priority, model) in enumerate([(0, "a"), (1, "b"), (0, None), (1, "a"), (0, "b")]):
        await queue.submit(job(f"j{number}", {"models": [model]} if model else None, priority=priority))
    able = worker("w", models=["a", "b"])
    assert ids([lease for _ in range(5) for lease in await queue.claim(able)]) == ["j1", "j3", "j0", "j2", "j4"]


async def test_a_jobs_workflow_decides_its_place_where_matching_is_on(queue: Queue, connect: Connect) -> None:
    def part(job_id: str, workflow: object, **fields: Any) -> NewJob:
        return NewJob(
            id=job_id,
            service_required="draw",
            extra=msgspec.Raw(msgspec.json.encode({"workflow_priority": workflow})),
            **fields,
        )

    await queue.submit(job("plain", priority=5))
    await queue.submit(part("low", -1, priority=9))
    await queue.submit(part("high", 7))
    assert ids(await queue.claim(worker("w"), 3)) == ["high", "plain", "low"]
    assert (await queue.job("high")).priority == 0
    with pytest.raises(InvalidJob, match="workflow_priority"):
        await queue.submit(part("odd", "soon"))
    off = await connect(matching=False)
    await off.submit(part("kept", "soon", priority=1))
    assert ids(await off.claim(worker("w"), 3)) == ["kept"]


async def test_a_denied_customer_is_denied_and_a_strict_worker_keeps_to_its_own(queue: Queue) -> None:
    await queue.submit(job("acme", customer="acme"))
    await queue.submit(job("nobody's"))
    assert ids(await queue.claim(worker("denies", customers={"deny": ["acme"]}), 5)) == ["nobody's"]
    await queue.submit(job("nobody's too"))
    strict = worker("strict", customers={"isolation": "strict", "allow": ["acme"]})
    assert ids(await queue.claim(strict, 5)) == ["acme"]


async def test_a_worker_that_does_not_match_takes_no_job_that_asks_for_something(
    queue: Queue, connect: Connect
) -> None:
    await queue.submit(job("asks", {"region": "eu"}))
    await queue.submit(job("plain"))
    without = await connect(matching=False)
    assert ids(await without.claim("w", 5)) == ["plain"]
    assert ids(await without.claim(Claimant(worker_id="w", services=("draw",)), 5)) == []


async def test_a_job_that_excludes_a_worker_by_name_wakes_and_reaches_another(queue: Queue, redis: Redis) -> None:
    for name in ("w1", "w2"):
        claimant = await live(queue, worker(name))
        await queue.wait_and_claim(claimant, 1, timeout_ms=1)
    await queue.submit(job("not on w1", {"exclude": {"workers": "w1"}}))
    assert await redis.command("LLEN", "wake:w1") == 0
    assert await redis.command("LLEN", "wake:w2") == 1
    assert ids(await queue.claim(worker("w1"), 1)) == []
    assert ids(await queue.claim(worker("w2"), 1)) == ["not on w1"]


@pytest.mark.parametrize(
    ("other", "goes_back"),
    [
        (worker("able", models=["a"]), False),
        (worker("of another service", ("cut",), models=["a"]), True),
        (worker("not able", models=["b"]), True),
        (worker("excluded", models=["a"]), True),
    ],
    ids=lambda value: value.worker_id if isinstance(value, Claimant) else None,
)
async def test_a_failed_job_goes_back_where_nobody_else_that_is_idle_can_do_it(
    queue: Queue, redis: Redis, other: Claimant, goes_back: bool
) -> None:
    failing = await live(queue, worker("failing", models=["a"]))
    await live(queue, other)
    asks = {"models": ["a"], "exclude": {"workers": ["excluded"]}}
    await queue.submit(job("j", asks, retry_policy=RetryPolicy(backoff_base_ms=3_600_000, backoff_cap_ms=3_600_000)))
    [lease] = await queue.claim(failing)
    await queue.end(Failed(lease=lease, error="no"))
    _, leases = await queue.end_and_claim(other, [], 1, idle_ms=60_000)
    assert leases == []
    await redis.command("ZADD", "delayed", "XX", 5, "j")
    assert ids(await queue.claim(failing)) == (["j"] if goes_back else [])
    assert ids(await queue.claim(other)) == ([] if goes_back else ["j"])


MALFORMED = [
    "draw\n{",
    "draw\n[1]",
    'draw\n{"requirements": 5}',
    'draw\n{"requirements": {"hardware": {"ram_gb": "x"}}}',
    "draw\n",
]


@pytest.mark.parametrize("group", MALFORMED)
async def test_what_is_malformed_in_redis_harms_only_its_own_job(queue: Queue, redis: Redis, group: str) -> None:
    await redis.write("submit", 1, *submission("bad", service_required="draw", priority=99, group=group))
    await queue.submit(job("good", {"models": ["a"]}))
    able = await live(queue, worker("w", models=["a"]))
    await queue.reap()
    assert ids(await queue.claim(able, 5)) == ["good"]
    await queue.reap()
    bad = await queue.job("bad")
    assert bad is not None
    assert bad.unserved_since is not None
    [(service, unmet)] = (await queue.counts()).unmet.items()
    assert (service, unmet.since, unmet.jobs) == ("draw", bad.unserved_since, 1)
    await queue.cancel("bad")


async def commands(queue: Queue, claimant: Claimant) -> int:
    """How many commands Redis carries out for one claim."""
    connection = queue._caller.connection
    await connection.call("CONFIG", "RESETSTAT")
    await queue.claim(claimant)
    stats = (await connection.call("INFO", "commandstats")).decode().splitlines()
    return sum(int(line.split("calls=")[1].split(",")[0]) for line in stats if "calls=" in line)


async def test_ten_thousand_unmatched_jobs_of_one_signature_cost_one_look(own_valkey, settings: QueueSettings) -> None:
    queue = await Queue.connect(msgspec.structs.replace(settings, redis_url=own_valkey.url))
    able = worker("w", models=["a"])
    await queue.submit_many([job(f"one{n}", {"models": ["a"]}) for n in range(3)])
    await queue.submit(job("other", {"models": ["b"]}, priority=9))
    few = await commands(queue, able)
    await queue.submit_many([job(f"other{n}", {"models": ["b"]}, priority=9) for n in range(10_000)])
    assert await commands(queue, able) == few
    await queue.close()


async def test_a_job_behind_thousands_of_signatures_is_reached_in_a_few_claims(queue: Queue) -> None:
    await queue.submit_many([job(f"j{n}", {"models": [f"m{n}"]}, priority=1) for n in range(3_500)])
    await queue.submit(job("behind", {"models": ["a"]}))
    able = worker("w", models=["a"])
    taken = [ids(await queue.claim(able)) for _ in range(4)]
    assert ["behind"] in taken
    assert taken.count([]) == 3


async def test_signatures_that_have_no_jobs_any_more_leave_nothing_behind(queue: Queue, redis: Redis) -> None:
    for number in range(20):
        await queue.submit(job(f"j{number}", {"models": ["a"]}, customer=f"c{number}"))
    able = worker("w", models=["a"])
    await queue.claim(able, 10)
    for number in range(20):
        await queue.cancel(f"j{number}")
    await queue.reap()
    assert await redis.command("EXISTS", "signatures") == 0


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        (b'{"requirements": {"hardware": {"ram_gb": "much"}}}', "requirements.hardware.ram_gb"),
        (b'{"requirements": []}', "requirements"),
        (b'{"requirements": {"colour": "red"}}', "requirements"),
        (b'{"customer_id": 5}', "customer_id"),
    ],
)
async def test_requirements_that_no_rule_can_read_are_refused_with_their_field(
    queue: Queue, connect: Connect, extra: bytes, field: str
) -> None:
    submitted = NewJob(id="x", service_required="draw", extra=msgspec.Raw(extra))
    with pytest.raises(InvalidJob) as refused:
        await queue.submit(submitted)
    assert refused.value.field == field
    assert (await (await connect(matching=False)).submit(submitted)).created


async def test_one_submission_wakes_one_idle_worker_that_can_do_it(queue: Queue, redis: Redis) -> None:
    crew = [await live(queue, worker(f"w{number}", models=[model])) for number, model in enumerate("abb")]
    for claimant in crew:
        _, leases = await queue.end_and_claim(claimant, [], 1, idle_ms=60_000)
        assert leases == []
    for number in range(2):
        await queue.submit(job(f"j{number}", {"models": ["b"]}))
        woken = [await redis.command("LLEN", f"wake:{claimant.worker_id}") for claimant in crew]
        assert woken == [0, 1, number]
    assert [ids(await queue.claim(claimant)) for claimant in crew] == [[], ["j0"], ["j1"]]
