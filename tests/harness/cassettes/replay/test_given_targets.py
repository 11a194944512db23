"""Somebody else's hub, somebody else's stack, somebody else's Redis."""

import contextlib
import datetime as dt
from pathlib import Path

import httpx
import redis
from msgspec.structs import replace

from harness.cassettes.replay.files import Against, run_files
from harness.clients import HubWorker, LegacyClient, Monitor
from harness.parity.deviations import Deviations
from harness.processes import ExternalRedis, Processes, Valkey, services
from harness.results import CellVerdict
from harness.targets import REPLAYED, GivenPool, HubTarget, StackPool, StackTarget
from tests.harness.cassettes.replay.conftest import CASSETTES

TODAY = dt.date(2026, 11, 24)
NAMES = ["busy-worker-may-not-claim", "submit-with-no-worker", "happy-path", "cancel-pending", "client-chosen-job-id"]
FILES = [CASSETTES / f"{name}.jsonl" for name in NAMES]


async def test_one_hub_is_played_to_again_and_again_and_left_as_it_was(processes: Processes) -> None:
    hub = await processes.astart(services.hub(name="their-hub"))
    pool = GivenPool(HubTarget.at(hub.ws_url))
    for _ in range(2):
        # The last one stores a second job under an id that nobody is told (fault 5): a hub keeps it for ever.
        results = await run_files(FILES[:-1], pool, Against(today=TODAY))
        assert {result.verdict for result in results} == {CellVerdict.SAME}, [result.describe() for result in results]


async def test_a_stack_given_by_url_is_played_to_again_and_again(processes: Processes, valkey: Valkey) -> None:
    url = valkey.url_of(10)
    api = await processes.astart(services.api(redis_url=url, prefix="theirs:", name="their-api"))
    pool = GivenPool(StackTarget.at(api.http_url, redis_url=url, prefix="theirs:"))
    for _ in range(2):
        results = await run_files(FILES, pool, Against(today=TODAY))
        assert {result.verdict for result in results} == {CellVerdict.SAME}, [result.describe() for result in results]


async def test_a_bystanders_jobs_are_not_touched_on_a_stack_nor_are_they_in_the_way(
    processes: Processes, valkey: Valkey
) -> None:
    url = valkey.url_of(12)
    api = await processes.astart(services.api(redis_url=url, name="shared-api"))
    await processes.astart(services.worker("their-worker", redis_url=url, connector="rest-sync:url=http://127.0.0.1:9"))
    with httpx.Client(base_url=api.http_url) as http:
        for number in range(3):
            http.post("/api/jobs", json={"service_required": "simulation", "id": f"theirs-{number}"}).raise_for_status()
        files = [*FILES, CASSETTES / "happy-path.jsonl", CASSETTES / "happy-path-seen-by-monitor.jsonl"]
        results = await run_files(files, GivenPool(StackTarget.at(api.http_url, redis_url=url)), Against(today=TODAY))
        verdicts = {result.name: result.verdict for result in results}
        assert verdicts.pop("happy-path-seen-by-monitor") is CellVerdict.NOT_APPLICABLE
        assert set(verdicts.values()) == {CellVerdict.SAME}, [result.describe() for result in results]
        for number in range(3):
            job = http.get(f"/api/jobs/theirs-{number}").json()
            assert (job["status"], job["attempt"]) == ("pending", 0)
        assert http.get("/api/stats").json()["queue"]["pending"] == 3, "what was submitted was brought to an end"


async def test_a_bystanders_jobs_and_workers_are_not_touched_on_a_hub(processes: Processes) -> None:
    hub = await processes.astart(services.hub(name="shared-hub"))
    async with LegacyClient(hub.ws_url, "bystander") as bystander:
        waiting = [await bystander.submit({"simulate": []}, service="theirs") for _ in range(2)]
        done = await bystander.submit({"simulate": []}, service="done")
        async with HubWorker(hub.ws_url, "their-worker", services=("done",)):
            await bystander.ended(done)
        files = [*FILES, CASSETTES / "rest-submit-and-poll.jsonl"]
        results = await run_files(files, GivenPool(HubTarget.at(hub.ws_url)), Against(today=TODAY))
        verdicts = [result.verdict for result in results]
        assert verdicts == [*[CellVerdict.SAME] * 5, CellVerdict.NOT_APPLICABLE], [one.describe() for one in results]
        assert "place among all that wait" in results[-1].reason
        async with Monitor(hub.ws_url, "looks") as monitor:
            jobs = (await monitor.expect("stats_broadcast"))["system"]["jobs"]["active_jobs"]
            assert {job["id"] for job in jobs} == set(waiting), "also what the hub stored and told nobody of (fault 5)"
        assert {(await bystander.status(job_id))["status"] for job_id in waiting} == {"pending"}
        assert (await bystander.status(done))["status"] == "completed"


async def test_a_recording_that_would_stop_somebodys_hub_is_not_played_to_it(processes: Processes) -> None:
    hub = await processes.astart(services.hub(name="their-fragile-hub"))
    harmful = CASSETTES / "submit-odd-priority-fraction.jsonl"
    results = await run_files([harmful, FILES[2]], GivenPool(HubTarget.at(hub.http_url)), Against(today=TODAY))
    assert [result.verdict for result in results] == [CellVerdict.NOT_APPLICABLE, CellVerdict.SAME]
    assert "only played on a hub of our own" in results[0].reason


async def test_a_redis_that_is_not_ours_keeps_what_was_in_it_and_nothing_else(
    processes: Processes, valkey: Valkey, deviations: Deviations, tmp_path: Path
) -> None:
    url = valkey.url_of(11)
    with contextlib.closing(redis.Redis.from_url(url, decode_responses=True)) as connection:
        connection.set("theirs", "kept")
        pool = StackPool(processes, ExternalRedis(url), replace(REPLAYED, name="guest-api"))
        against = Against(today=TODAY, deviations=deviations)
        results = await run_files([*FILES, CASSETTES / "cancel-running.jsonl"], pool, against, at_once=2)
        verdicts = [result.verdict for result in results]
        assert verdicts == [CellVerdict.SAME] * 5 + [CellVerdict.DECLARED], [result.describe() for result in results]
        left = [key for key in connection.scan_iter() if "worker" not in key]
        assert left == ["theirs"], "the keys of a worker that reported late may still be there"


async def test_a_target_that_demands_a_token_is_given_the_one_that_is_told(processes: Processes) -> None:
    hub = await processes.astart(services.hub(name="their-guarded-hub", token="sesame"))
    files = [FILES[2], CASSETTES / "auth-token.jsonl"]
    known = await run_files(files, GivenPool(HubTarget.at(hub.http_url, token="sesame")), Against(today=TODAY))
    assert [result.verdict for result in known] == [CellVerdict.SAME, CellVerdict.NOT_APPLICABLE]
    assert "demands the token s3cret" in known[1].reason
    unknown = await run_files(files, GivenPool(HubTarget.at(hub.http_url)), Against(today=TODAY))
    assert [result.verdict for result in unknown] == [CellVerdict.DIFFERENT, CellVerdict.NOT_APPLICABLE]
