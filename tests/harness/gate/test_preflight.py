"""What is looked at on a target that somebody else runs, and what stops a run."""

import contextlib

import httpx
import pytest
import redis

from harness.clients import HubWorker, LegacyClient
from harness.gate.preflight import Refused, lines, preflight
from harness.processes import Processes, Valkey, services, start_valkey
from harness.results import PreflightRow
from harness.targets import HubTarget, StackTarget

PREFIX = "theirs:"
TOKEN = "s3cret-and-nobody-elses"


@pytest.fixture(scope="module")
def stack(processes: Processes, valkey: Valkey) -> StackTarget:
    """A stack with two waiting jobs and a worker that serves another service."""
    api = processes.start(services.api(redis_url=valkey.url, prefix=PREFIX, name="their-api"))
    connector = f"{services.SERVING}something"
    processes.start(services.worker("their-worker", redis_url=valkey.url, prefix=PREFIX, connector=connector))
    jobs = [{"service_required": "simulation"}] * 2
    httpx.post(f"{api.http_url}/api/jobs", json=jobs).raise_for_status()
    return StackTarget.at(api.http_url, redis_url=valkey.url, prefix=PREFIX)


def found(rows: list[PreflightRow], what: str) -> PreflightRow:
    (row,) = [row for row in rows if row.what == what]
    return row


def stopped(error: pytest.ExceptionInfo[Refused]) -> list[str]:
    return [row.what for row in error.value.rows if row.stops]


async def test_a_stack_is_described_and_nothing_is_written(stack: StackTarget, valkey: Valkey) -> None:
    with contextlib.closing(redis.Redis.from_url(valkey.url)) as client:
        jobs, sent = httpx.get(f"{stack.http_url}/api/jobs").json()["jobs"], client.xlen(f"{PREFIX}events")
        rows = await preflight(stack)
        assert len(jobs) == 2
        assert httpx.get(f"{stack.http_url}/api/jobs").json()["jobs"] == jobs
        assert client.xlen(f"{PREFIX}events") == sent, "nothing happened to any job"
    assert found(rows, "waiting and running jobs").found == "2 pending"
    assert found(rows, "live workers").found == "1"
    assert "this machine" in found(rows, "place").found
    assert "hubgate" in found(rows, "functions").found
    assert found(rows, "rights").found == "user default has what is needed"
    assert {row.what for row in rows} >= {"reachable", "latency", "protocol", "token", "clock of Redis", "keys"}
    assert any("neither claimed, changed nor deleted" in line for line in lines(rows))


async def test_with_a_namespace_nobody_elses_jobs_and_workers_may_be_there(stack: StackTarget) -> None:
    with pytest.raises(Refused, match=r"nothing was sent: .*2 pending") as refused:
        await preflight(stack, exclusive=True)
    assert stopped(refused) == ["live workers", "waiting and running jobs"]


async def test_a_worker_that_takes_every_service_stops_the_run(processes: Processes, valkey: Valkey) -> None:
    api = processes.start(services.api(redis_url=valkey.url, prefix="greedy:", name="greedy-api"))
    processes.start(services.worker("takes-all", redis_url=valkey.url, prefix="greedy:"))
    with pytest.raises(Refused, match=r"takes-all take.*--namespace"):
        await preflight(StackTarget.at(api.http_url, redis_url=valkey.url, prefix="greedy:"))


async def test_a_hub_is_described_by_what_its_monitors_see(processes: Processes) -> None:
    hub = await processes.astart(services.hub(name="their-hub"))
    async with LegacyClient(hub.ws_url, "bystander") as client, HubWorker(hub.ws_url, "w", services=("other",)):
        await client.submit({}, service="theirs")
        rows = await preflight(HubTarget.at(hub.ws_url))
        assert found(rows, "waiting and running jobs").found == "1 pending"
        assert found(rows, "live workers").found == "1"
        with pytest.raises(Refused):
            await preflight(HubTarget.at(hub.ws_url), exclusive=True)


async def test_a_token_that_is_missing_or_wrong_stops_the_run(processes: Processes, valkey: Valkey) -> None:
    hub = await processes.astart(services.hub(name="guarded-hub", token=TOKEN))
    api = await processes.astart(services.api(redis_url=valkey.url, prefix="g:", name="guarded-api", token=TOKEN))
    for token in (None, "wrong"):
        with pytest.raises(Refused) as refused:
            await preflight(
                HubTarget.at(hub.ws_url, token=token),
                StackTarget.at(api.http_url, redis_url=valkey.url, prefix="g:", token=token),
            )
        assert stopped(refused) == ["token", "token"]
    right = StackTarget.at(api.http_url, redis_url=valkey.url, prefix="g:", token=TOKEN)
    assert found(await preflight(right), "token").found == "given and taken"


async def test_what_is_no_such_target_stops_the_run(stack: StackTarget, processes: Processes) -> None:
    hub = await processes.astart(services.hub(name="not-a-stack"))
    with pytest.raises(Refused) as refused:
        await preflight(StackTarget.at(hub.http_url, redis_url=stack.redis_url), HubTarget.at("http://127.0.0.1:9"))
    assert stopped(refused) == ["protocol", "reachable"]


async def test_another_machine_is_put_under_load_only_where_that_was_allowed() -> None:
    for allowed in ((), ("127.0.0.2",)):
        with pytest.raises(Refused) as refused:
            await preflight(HubTarget.at("http://127.0.0.2:9"), allowed_hosts=allowed)
        assert stopped(refused) == (["reachable"] if allowed else ["place", "reachable"])


async def test_a_redis_that_the_stack_does_not_use_stops_the_run(stack: StackTarget, processes: Processes) -> None:
    other = start_valkey(processes, name="other")
    with pytest.raises(Refused) as refused:
        await preflight(StackTarget.at(stack.http_url, redis_url=other.url))
    assert stopped(refused) == ["functions"]


async def test_a_user_of_redis_without_the_rights_stops_the_run(stack: StackTarget, valkey: Valkey) -> None:
    valkey.execute("ACL", "SETUSER", "narrow", "on", ">pw", "~*", "+info", "+time", "+acl|whoami", "+acl|dryrun",
                   "+function|list", "+scan")  # fmt: skip
    narrow = f"redis://narrow:pw@127.0.0.1:{valkey.port}/0"
    with pytest.raises(Refused, match="It needs fcall and xread") as refused:
        await preflight(StackTarget.at(stack.http_url, redis_url=narrow, prefix=PREFIX))
    assert stopped(refused) == ["rights"]
