"""Somebody else's hub, somebody else's stack, somebody else's Redis."""

import asyncio
import contextlib
import datetime as dt
import itertools
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


async def test_replays_that_run_at_the_same_time_on_one_stack_do_not_meet(processes: Processes, valkey: Valkey) -> None:
    url = valkey.url_of(15)
    api = await processes.astart(services.api(redis_url=url, name="busy-api"))
    pool = GivenPool(StackTarget.at(api.http_url, redis_url=url))
    runs = await asyncio.gather(*(run_files(FILES, pool, Against(today=TODAY), at_once=2) for _ in range(3)))
    results = list(itertools.chain(*runs))
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
        left_out = ["rest-submit-and-poll", "submit-odd-job-type-number", "worker-drops-mid-job"]
        files = [*FILES, *(CASSETTES / f"{name}.jsonl" for name in left_out)]
        results = await run_files(files, GivenPool(HubTarget.at(hub.ws_url)), Against(today=TODAY))
        verdicts = [result.verdict for result in results]
        expected = [*[CellVerdict.SAME] * 5, *[CellVerdict.NOT_APPLICABLE] * 3]
        assert verdicts == expected, [one.describe() for one in results]
        assert "place among all that wait" in results[-3].reason
        assert "service of this run's own" in results[-2].reason
        assert "waits to see that nothing comes" in results[-1].reason
        async with Monitor(hub.ws_url, "looks") as monitor:
            jobs = (await monitor.expect("stats_broadcast"))["system"]["jobs"]["active_jobs"]
            assert {job["id"] for job in jobs} == set(waiting), "also what the hub stored and told nobody of (fault 5)"
        assert {(await bystander.status(job_id))["status"] for job_id in waiting} == {"pending"}
        assert (await bystander.status(done))["status"] == "completed"


SENT_AWAY = """\
{"cassette": 1, "scenario": "worker-sends-binary"}
{"at": 0, "actor": "worker-a", "event": "open", "role": "worker", "path": "/ws/worker/worker-a"}
{"at": 1, "actor": "worker-a", "event": "send", "message": {"type": "register_worker", "capabilities": \
{"supported_job_types": ["simulation"]}, "status": "idle"}}
{"at": 2, "actor": "worker-a", "event": "receive", "message": {"type": "connection_established", \
"message": "Welcome Worker worker-a! Connected to Redis Hub"}}
{"at": 3, "actor": "worker-a", "event": "receive", "message": {"type": "worker_registered", "timestamp": \
1795523601.9, "worker_id": "worker-a", "status": "active"}}
{"at": 4, "actor": "worker-a", "event": "receive", "message": {"type": "job_notifications_subscribed", \
"timestamp": 1795523601.9, "worker_id": "worker-a"}}
{"at": 5, "actor": "worker-a", "event": "send", "text": "b'\\\\x00'"}
{"at": 6, "actor": "worker-a", "event": "closed", "code": 1000, "reason": "Worker worker-a disconnected"}
"""


async def test_the_name_that_a_worker_is_given_anew_is_told_by_the_recorded_one_in_why_it_was_sent_away(
    processes: Processes, tmp_path: Path
) -> None:
    hub = await processes.astart(services.hub(name="hub-that-sends-away"))
    recording = tmp_path / "worker-sends-binary.jsonl"
    recording.write_text(SENT_AWAY)
    results = await run_files([recording], GivenPool(HubTarget.at(hub.ws_url)), Against(today=TODAY))
    assert [result.verdict for result in results] == [CellVerdict.SAME], [result.describe() for result in results]


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
