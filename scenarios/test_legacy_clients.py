"""Phase 2A, 1: an old WebSocket client lives its whole life on the new stack, with real workers."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from harness.cassettes.replay.files import Against, run_files
from harness.parity.deviations import Deviations
from harness.results import CellVerdict
from harness.targets import StackPool
from harness.testing import Server, fresh
from scenarios.received_facts import claimed_by, facts_by_websocket, kinds, progress_of, story
from scenarios.stacks import BACKOFF_MS, OwnStack, Stacks, fail, script, wait

pytestmark = pytest.mark.criterion("mixed-clients")

FREE_AGAIN_S = 5.0
"""How soon a cancelled job's worker has to do the next one."""
WRONG = "open-barley"
ERROR = "CUDA out of memory: tried to allocate 2.5 GiB"
HERE = Path(__file__).parent
SOME_CASSETTES = ("happy-path", "cancel-pending", "second-client-subscribes")


async def test_an_old_client_hears_of_its_jobs_whole_life(stack: Server) -> None:
    async with stack.legacy() as client:
        job_id = await client.submit(script(10, {"progress": 60, "message": "upscaling"}, result={"image": "cat.png"}))
        done = await client.expect("complete_job", job_id=job_id)
        assert done["result"] == {"image": "cat.png"}
        facts = facts_by_websocket(client.received, job_id)
        assert [fact["type"] for fact in facts] == ["claimed", "progress", "progress", "completed"]
        assert [(fact["progress"], fact["message"]) for fact in facts[1:3]] == [(10, None), (60, "upscaling")]
        assert len({fact["worker_id"] for fact in facts}) == 1
        status = await client.status(job_id)
        assert (status["status"], status["result"]) == ("completed", {"image": "cat.png"})


async def test_the_worker_of_a_cancelled_job_is_free_again_soon(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker()
    async with isolated_stack.legacy() as client:
        cancelled = await client.submit(script(5, wait(60_000), 100))
        await client.expect("update_job_progress", job_id=cancelled)
        answer = await client.cancel(cancelled, "not wanted any more")
        assert answer["message"] == "Job cancelled: not wanted any more"
        following = await client.submit(script(100))
        await client.expect("complete_job", job_id=following, timeout_s=FREE_AGAIN_S)


async def test_a_late_completion_never_overwrites_a_cancellation(isolated_stack: OwnStack) -> None:
    await isolated_stack.worker()
    async with isolated_stack.legacy() as client, isolated_stack.modern() as modern:
        cancelled = await client.submit(script(5, wait(400), result={"image": "unwanted.png"}))
        await client.expect("update_job_progress", job_id=cancelled)
        await client.cancel(cancelled)
        following = await client.submit(script(100))
        await client.expect("complete_job", job_id=following)  # its only worker has long let go of the other one
        assert (await client.status(cancelled))["status"] == "cancelled"
        assert (await modern.job(cancelled))["result"] is None
        assert client.messages("complete_job", job_id=cancelled) == []


async def test_a_job_that_always_fails_is_tried_four_times_and_then_given_up(isolated_stack: OwnStack) -> None:
    await isolated_stack.workers(2)
    async with isolated_stack.legacy() as client, isolated_stack.modern() as modern:
        job_id = await client.submit(script(50, fail(ERROR)))
        events = await modern.follow_to_end(job_id)
        assert kinds(events) == [
            "submitted",
            *["claimed", "progress", "attempt_failed"] * 3,
            "claimed",
            "progress",
            "failed",
        ]
        await client.wait_for(lambda _: len(client.messages("fail_job", job_id=job_id)) == 4, "the fourth failure")
        assert {message["error"] for message in client.messages("fail_job", job_id=job_id)} == {ERROR}
        assert (await client.status(job_id))["status"] == "failed"
        stored = await modern.job(job_id)
        assert (stored["failures"], stored["attempt"], stored["error"]) == (4, 4, ERROR)
        failed = [told.data["at"] for told in events if told.kind == "attempt_failed"]
        again = [told.data["at"] for told in events if told.kind == "claimed"][1:]
        pauses = [later - earlier for earlier, later in zip(failed, again, strict=True)]
        assert [pause >= BACKOFF_MS * 2**n for n, pause in enumerate(pauses)] == [True] * 3, pauses


async def test_a_failed_job_does_not_go_straight_back_while_another_worker_has_a_free_place(
    isolated_stack: OwnStack,
) -> None:
    await isolated_stack.workers(2)
    async with isolated_stack.legacy() as client, isolated_stack.modern() as modern:
        job_id = await client.submit(script(fail(ERROR, attempts=1)))
        first, second = claimed_by(await modern.follow_to_end(job_id))
        assert first != second
        long = await client.submit(script(1, wait(1_200)))
        other = (await client.expect("update_job_progress", job_id=long))["worker_id"]
        again = await client.submit(script(fail(ERROR, attempts=1)))
        workers = claimed_by(await modern.follow_to_end(again))
        assert other not in workers, "the only other worker was busy: it did not have to wait for that one"


async def test_a_job_that_fails_twice_succeeds_in_the_end(stack: Server) -> None:
    async with stack.legacy() as client:
        job_id = await client.submit(script(50, fail(ERROR, attempts=2), result={"image": "third time lucky"}))
        done = await client.expect("complete_job", job_id=job_id)
        assert done["result"] == {"image": "third time lucky"}
        assert [message["error"] for message in client.messages("fail_job", job_id=job_id)] == [ERROR, ERROR]


async def test_a_client_that_reconnects_goes_on_hearing_of_its_job(stack: Server) -> None:
    async with stack.legacy() as client:
        job_id = await client.submit(script(10, wait(1_500), 90, result="done"))
        await client.expect("update_job_progress", job_id=job_id, progress=10)
        await client.drop()
        await client.open()
        await client.expect("complete_job", job_id=job_id)
        assert progress_of(facts_by_websocket(client.received, job_id)) == [10, 90]
        assert len(client.messages("complete_job", job_id=job_id)) == 1


async def test_a_client_that_was_away_at_the_end_hears_of_it_when_it_asks(stack: Server) -> None:
    async with stack.legacy() as client, stack.modern() as modern:
        job_id = await client.submit(script(10, wait(300), result="done while you were out"))
        await client.drop()
        await modern.follow_to_end(job_id)
        await client.open()
        await client.subscribe(job_id)
        assert (await client.expect("complete_job", job_id=job_id))["result"] == "done while you were out"


async def test_a_second_subscriber_hears_what_the_first_hears(isolated_stack: OwnStack) -> None:
    async with isolated_stack.legacy() as owner, isolated_stack.legacy() as second, isolated_stack.legacy() as third:
        job_id = await owner.submit(script(20, 80, result="seen by all"))
        await second.subscribe(job_id)
        await third.subscribe(job_id)
        await isolated_stack.worker()
        for client in (owner, second, third):
            await client.expect("complete_job", job_id=job_id)
        heard = facts_by_websocket(owner.received, job_id)
        assert progress_of(heard) == [20, 80]
        assert facts_by_websocket(second.received, job_id) == heard
        assert facts_by_websocket(third.received, job_id) == heard


async def test_a_monitor_sees_every_clients_job_and_whose_it_is(stack: Server) -> None:
    async with stack.monitor() as monitor, stack.legacy() as client:
        await monitor.expect("stats_broadcast")
        job_id = await client.submit(script(30, 70, result={"seen": True}))
        done = await monitor.expect("complete_job", job_id=job_id)
        assert (done["client_id"], done["result"]) == (client.name, {"seen": True})
        seen = monitor.messages("update_job_progress", job_id=job_id, client_id=client.name)
        assert [message["progress"] for message in seen] == [30, 70]


async def test_a_job_submitted_again_under_its_id_runs_once(stack: Server) -> None:
    job_id, payload = fresh("job"), script(50, result="once")
    async with stack.legacy() as client, stack.modern() as modern:
        await client.submit(payload, job_id=job_id)
        await client.expect("complete_job", job_id=job_id)
        assert await client.submit(payload, job_id=job_id) == job_id
        assert (await client.status(job_id))["status"] == "completed"
        assert story(await modern.follow_to_end(job_id)) == "submitted claimed progress completed"


async def test_a_client_with_a_wrong_token_is_turned_away(guarded: OwnStack) -> None:
    async with Server.of_stack(guarded.http_url, token=WRONG).legacy() as client:
        refused = await client.expect("error")
        assert refused["error"] == "Authentication failed: Invalid token"
        with pytest.raises(AssertionError, match="its connection closed"):
            await client.expect("connection_established")
    async with guarded.legacy() as client:
        await client.expect("connection_established")


@pytest.mark.cassettes
async def test_some_recorded_clients_play_as_they_did_on_the_hub(stacks: Stacks, stack: Server) -> None:
    if not isinstance(stack, OwnStack) or not stacks.redis.owned:
        pytest.skip("replays need databases that may be emptied; the gate replays every recording on a given stack")
    setup = stacks.setup(name="replay-api", lease_ms=3_000, retry_backoff_ms=50, environment={})
    pool = StackPool(stacks.processes, stacks.redis, setup)
    files = [HERE / "cassettes" / f"{name}.jsonl" for name in SOME_CASSETTES]
    against = Against(deviations=Deviations.load(HERE / "deviations.toml"), today=dt.datetime.now(dt.UTC).date())
    results = await run_files(files, pool, against)
    told = [result.describe() for result in results if result.verdict not in (CellVerdict.SAME, CellVerdict.DECLARED)]
    assert not told
