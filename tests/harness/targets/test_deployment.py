"""A hub or a stack that the harness starts, or is given."""

from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import redis

from harness.errors import CouldNotRun
from harness.processes import ExternalRedis, Processes, Valkey
from harness.targets import (
    Crew,
    Deployment,
    HubPool,
    HubTarget,
    Namespace,
    Needs,
    Setup,
    Side,
    StackPool,
    StackTarget,
)

TOKEN = "s3cret-and-nobody-elses"


def statuses(target: StackTarget | HubTarget) -> tuple[int, int]:
    """What reading the statistics gives without a token and with it."""
    url = f"{target.http_url}/api/stats"
    return httpx.get(url).status_code, httpx.get(url, headers={"Authorization": f"Bearer {TOKEN}"}).status_code


async def test_a_stack_has_workers_and_a_second_api_on_one_queue(processes: Processes, valkey: Valkey) -> None:
    stack = await Deployment.astart(processes, Setup(name="two-apis"), valkey, Namespace(valkey.url, "mine:"))
    await stack.astart_workers(stack.worker_launches(2))
    second = await stack.add_api("two-apis-second")
    httpx.post(f"{stack.target.http_url}/api/jobs", json={"service_required": "simulation", "id": "one"})
    workers = httpx.get(f"{second.http_url}/api/workers").json()["workers"]
    assert {worker["worker_id"] for worker in workers} == {"worker-1", "worker-2"}
    assert httpx.get(f"{second.http_url}/api/jobs/one").status_code == 200
    stack.empty()
    with redis.Redis.from_url(valkey.url) as client:
        assert list(client.scan_iter("mine:*")) == []
    assert not second.alive
    assert httpx.get(f"{stack.target.http_url}/api/jobs/one").status_code == 404
    stack.stop()
    assert not any(server.alive for server in stack.servers)


async def test_a_stack_that_is_removed_leaves_no_key_though_it_reaps_to_its_end(
    processes: Processes, valkey: Valkey
) -> None:
    setup = Setup(name="reaping", environment={"HUBGATE_REAP_MS": "20"})
    stack = await Deployment.astart(processes, setup, valkey, Namespace(valkey.url, "reaping:"))
    await stack.astart_workers(stack.worker_launches(1))
    httpx.post(f"{stack.target.http_url}/api/jobs", json={"service_required": "simulation"}).raise_for_status()
    stack.remove()
    assert not any(process.alive for process in (*stack.workers, *stack.servers))
    with redis.Redis.from_url(valkey.url) as client:
        assert list(client.scan_iter("reaping:*")) == []


async def test_a_token_is_demanded_and_in_no_process_list(processes: Processes, valkey: Valkey) -> None:
    namespace = Namespace.fresh(valkey, 20)
    stack = await Deployment.astart(processes, Setup(name="guarded", token=TOKEN), valkey, namespace)
    assert statuses(stack.target) == (401, 200)
    assert TOKEN not in Path(f"/proc/{stack.servers[0].pid}/cmdline").read_text()
    stack.stop()


def test_a_stack_without_a_redis_is_refused(processes: Processes) -> None:
    with pytest.raises(CouldNotRun, match="needs a Redis"):
        Deployment.start(processes, Setup())


def test_of_a_given_target_no_process_is_started() -> None:
    given = Deployment(StackTarget.at("http://127.0.0.1:9", redis_url="redis://127.0.0.1:9/0"))
    with pytest.raises(CouldNotRun, match="starts no process for it"):
        given.start_workers(given.worker_launches(1))
    with pytest.raises(CouldNotRun, match="need the stack's Redis"):
        Deployment(StackTarget.at("http://127.0.0.1:9", redis_url="")).worker_launches(1)
    given.stop()


def test_a_redis_that_is_ours_gives_databases_and_another_prefixes(valkey: Valkey) -> None:
    assert Namespace.fresh(valkey, 7) == Namespace(valkey.url_of(7), "")
    theirs = [Namespace.fresh(ExternalRedis(valkey.url), 7) for _ in range(2)]
    assert theirs[0] != theirs[1]
    assert all(namespace.prefix.startswith("hubgate-") for namespace in theirs)


async def test_each_user_of_a_pool_finds_an_empty_target(processes: Processes, valkey: Valkey) -> None:
    stacks = StackPool(processes, valkey, Setup(name="pooled"), first_database=21)
    urls = []
    for _ in range(2):
        async with stacks.acquire(Needs()) as target:
            urls.append(target.http_url)
            assert httpx.get(f"{target.http_url}/api/jobs").json()["jobs"] == []
            httpx.post(f"{target.http_url}/api/jobs", json={"service_required": "simulation"})
    assert urls[0] == urls[1], "a stack is emptied, not started again"
    hubs = HubPool(processes, Setup(side=Side.HUB, name="pooled-hub"))
    async with hubs.acquire(Needs()) as one, hubs.acquire(Needs(token=TOKEN)) as other:
        assert one.http_url != other.http_url
        assert other.token == TOKEN
    assert not [process for process in processes if process.name.startswith("pooled-hub") and process.alive]


@pytest.mark.parametrize("url", ["stack.internal", "ftp://h", "http://", "http://h:0", "http://h:99999", "http://[::1"])
def test_what_is_no_url_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(CouldNotRun, match="is no URL of a target"):
        HubTarget.at(url)


async def test_workers_of_ours_on_somebody_elses_stack_have_names_of_their_own_and_serve_nothing_else(
    processes: Processes, valkey: Valkey, tmp_path: Path
) -> None:
    theirs = await Deployment.astart(processes, Setup(name="their-api"), valkey, Namespace(valkey.url, "shared:"))
    await theirs.astart_workers(theirs.worker_launches(1))
    target = StackTarget.at(theirs.target.http_url, redis_url=valkey.url, prefix="shared:")
    ours = Deployment(target, processes=processes)
    await ours.astart_workers(ours.crew_launches([Crew(services=("render-0f3a",))], 2, tmp_path))
    workers = httpx.get(f"{target.http_url}/api/workers").json()["workers"]
    told = {worker["worker_id"]: worker["services"] for worker in workers}
    assert told.pop("worker-1") is not None
    assert len(told) == 2
    assert all(name.startswith("hubgate-") and served == ["render-0f3a"] for name, served in told.items())
    ours.stop()
    theirs.stop()


def test_workers_of_a_hub_that_may_be_struck_are_processes_with_their_own_names_over_the_given_line(
    tmp_path: Path,
) -> None:
    setup = Setup(side=Side.HUB, workers_url="ws://127.0.0.1:7", apart=True)
    hub = Deployment(HubTarget(http_url="http://127.0.0.1:1", owned=True), setup=setup)
    crews = [Crew(services=("render",), share=2), Crew(services=("text",))]
    launches = hub.crew_launches(crews, 3, tmp_path)
    assert [launch.name for launch in launches] == ["hub-worker-1", "hub-worker-2", "hub-worker-3"]
    for number, launch in enumerate(launches, start=1):
        told = dict(pairwise(launch.command))
        assert (told["--first"], told["--count"], told["--url"]) == (str(number), "1", "ws://127.0.0.1:7")
        assert told["--service"] == ("text" if number == 3 else "render")


def test_workers_of_a_hub_share_a_process_where_nothing_is_done_to_them(tmp_path: Path) -> None:
    hub = Deployment(HubTarget(http_url="http://127.0.0.1:1", owned=True))
    (launch,) = hub.crew_launches([Crew(services=("render",))], 3, tmp_path)
    told = dict(pairwise(launch.command))
    assert (launch.name, told["--count"], told["--url"]) == ("hub-workers", "3", "ws://127.0.0.1:1")
