"""A job's life is exported as a cassette, which the harness plays: the file's form is all that both have in common."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.cassettes.replay.files import Against, run_files
from harness.processes import ExternalRedis, Processes
from harness.results import CellVerdict
from harness.targets import HubPool, StackPool, TargetPool
from harness.testing.waiting import until
from new_stack.queue import Failed, ProgressUpdate, QueueSettings, Released

from ..conftest import ValkeyProcess
from .conftest import Api, StartApi, Work

LONG = "".join(f"{number:x}" for number in range(3_000))
"""Longer than a cassette writes a string that is received, and no repetition."""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "run") as running:
        yield running


async def exported(api: Api, job_id: str, folder: Path) -> Path:
    async with api.session.get(f"{api.base}/api/jobs/{job_id}/cassette") as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Disposition"] == f'attachment; filename="{job_id}.jsonl"'
        path = folder / f"{job_id}.jsonl"
        path.write_bytes(await response.read())
    return path


async def failed_once(api: Api, work: Work) -> str:
    job_id = await api.submit(
        id="failed-once",
        payload={"n": 1.0, "prompt": LONG},
        priority=3,
        own="field",
        retry_policy={"backoff_base_ms": 0},
    )
    lease = await work.claim()
    await work.queue.progress(lease, ProgressUpdate(progress=10, message="loads", details={"node": "3"}))
    await work.queue.end(Failed(lease=lease, error="CUDA out of memory"))
    await work.whole_job(20, 60.5)
    return job_id


async def given_up(api: Api, work: Work) -> str:
    job_id = await api.submit(id="given-up", max_retries=0)
    await work.queue.end(Failed(lease=await work.claim(), error="no such model"))
    return job_id


async def cancelled_while_it_ran(api: Api, work: Work, job_id: str = "cancelled-while-it-ran") -> str:
    await api.submit(id=job_id)
    await work.progress(await work.claim(), 30)
    await api.post(f"/api/jobs/{job_id}/cancel", {"reason": "changed my mind"}, 200)
    return job_id


async def waiting(api: Api, _work: Work) -> str:
    return await api.submit(id="waiting", service_required="nobody-serves-it", client_id="shop 7")


async def running(api: Api, work: Work) -> str:
    job_id = await api.submit(id="running")
    await work.progress(await work.claim(), 30)
    return job_id


async def large(api: Api, work: Work) -> str:
    job_id = await api.submit(id="large", payload={"image": LONG * 40})
    await work.complete(await work.claim(), {"image": LONG * 50, "zeros": "0" * 9_000})
    return job_id


async def verdicts(paths: list[Path], pool: TargetPool) -> dict[str, str]:
    results = await run_files(paths, pool, at_once=2, against=Against(today=dt.datetime.now(dt.UTC).date()))
    return {result.path.stem: "" if result.verdict is CellVerdict.SAME else result.describe() for result in results}


async def forgotten(api: Api, work: Work) -> str:
    """Its events are no longer kept: its record knows the last attempt."""
    job_id = await api.submit(id="forgotten")
    await work.whole_job(50)
    await work.queue._caller.connection.call("DEL", f"{work.queue.settings.prefix}events:{job_id}")
    assert [event.kind for event in await work.queue.history(job_id)] == ["completed"]
    return job_id


async def lost_and_handed_back(api: Api, work: Work) -> str:
    """Only a stack gives it to another worker: a hub forgets to (fault 1 of docs/protocol.md)."""
    job_id = await api.submit(id="lost-and-handed-back")
    await work.queue.end(Released(lease=await work.claim()))
    await work.claim()
    await until(work.queue.reap)
    await work.whole_job(50)
    return job_id


async def retried_by_hand(api: Api, work: Work) -> str:
    """A hub never gives it to anybody again once it was cancelled."""
    job_id = await cancelled_while_it_ran(api, work, "retried-by-hand")
    await api.post(f"/api/jobs/{job_id}/retry", None, 200)
    await work.whole_job(50)
    return job_id


ANYWHERE = (failed_once, cancelled_while_it_ran, large)
ON_A_STACK = (given_up, waiting, running, forgotten, lost_and_handed_back, retried_by_hand)


@pytest.mark.timeout(120)
async def test_the_same_life_is_lived_again_on_a_stack_and_on_a_hub(
    start_api: StartApi, settings: QueueSettings, valkey: ValkeyProcess, processes: Processes, tmp_path: Path
) -> None:
    paths: list[Path] = []
    for number, live in enumerate((*ANYWHERE, *ON_A_STACK)):
        redis = msgspec.structs.replace(settings, prefix=f"{settings.prefix}{number}:", lease_ms=1_000)
        server = await start_api(redis, reap_ms=60_000)
        paths.append(await exported(server, await live(server, Work(server.queue)), tmp_path))
    on_stack = await verdicts(paths, StackPool(processes, ExternalRedis(valkey.url), first_database=8))
    assert on_stack == dict.fromkeys(on_stack, "")
    on_hub = await verdicts(paths[: len(ANYWHERE)], HubPool(processes))
    assert on_hub == dict.fromkeys(on_hub, "")


async def test_what_an_actor_could_not_say_in_one_line_is_refused_and_an_unknown_job_is_not_found(api: Api) -> None:
    job_id = await api.submit(payload={"image": "x" * 1_000_000})
    assert "too large for a cassette" in (await api.get(f"/api/jobs/{job_id}/cassette", 409))["detail"]
    await api.get("/api/jobs/nobody/cassette", 404)
