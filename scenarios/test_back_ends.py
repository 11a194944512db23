"""Workers that call back ends: what these answer is the job's end, how far they are its progress; stops are told."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from harness.clients import ModernClient
from harness.testing import fresh, until
from scenarios.back_ends import LARGE, PICTURE, BackEnds, back_ends
from scenarios.received_facts import facts_by_events, progress_of, reached
from scenarios.stacks import OwnStack, ours

pytestmark = [pytest.mark.criterion("modern-clients"), pytest.mark.timeout(90)]

ODD: Final = "harness.workers.odd_connector:OddConnector"
TASKS: Final = "harness.workers.plain_tasks"
AUTHORIZATION: Final = "Bearer of-the-back-end"
WITHIN_S: Final = 30
QUICKLY: Final = "poll_ms=20,poll_failures=2"
WORKFLOW: Final[dict[str, Any]] = {"1": {}, "2": {}, "3": {}, "4": {}}
FILE: Final = {"filename": "cat 1.png", "subfolder": "", "type": "output", "node": "4", "kind": "images"}


def connectors(url: str, folder: Path) -> str:
    """One of each, and one for whatever is left."""
    plain = f"max_response_bytes={LARGE - 1},authorization={AUTHORIZATION}"
    bureau = "id_field=job.ref,status_field=data.state,progress_field=data.part,message_field=data.says"
    words = "result_field=data.out,error_field=data.why,done=ok|fine,failed=broken,progress_scale=100"
    return ",".join(
        (
            f"rest-sync:url={url}/plain/{{service}}/{{job_id}},cancel_url={url}/stop/{{job_id}},{plain},services=plain",
            f"rest-async:url={url}/jobs,status_url={url}/jobs/{{id}},cancel_url={url}/jobs/{{id}},cancel_method=DELETE",
            f"{bureau},{words},{QUICKLY},services=bureau",
            f"rest-sync:url={url}/plain/{{service}}/{{job_id}},timeout_s=0.5,services=hasty",
            f"websocket:url={url}/line,services=line",
            f"websocket:url={url}/line,silence_s=0.5,services=hush",
            f"comfyui:url={url},poll_s=1,services=comfy",
            f"a1111:url={url}/,progress_ms=20,folder={folder},services=draw",
            f"tasks:module={TASKS}",
            f"{ODD}:services=odd",
            "simulation:run_in=thread,services=thread+plain",
            "simulation:services=*",
        )
    )


class Calls:
    """A worker that calls back ends, and what becomes of jobs."""

    def __init__(self, stack: OwnStack, servers: BackEnds, client: ModernClient) -> None:
        self.stack = stack
        self.servers = servers
        self.client = client

    async def submit(self, service: str, payload: dict[str, Any], job_id: str = "") -> str:
        """A job that is tried twice at most; its id."""
        return await self.client.submit(payload, service=service, job_id=job_id or fresh(service), max_retries=1)

    async def ends(self, service: str, *does: str) -> dict[str, dict[str, Any]]:
        """The ends of jobs of which each does one of these, and the progress of each."""
        jobs = {one: await self.submit(service, _payload(service, one)) for one in does}
        found: dict[str, dict[str, Any]] = {}
        for one, job_id in jobs.items():
            events = await self.client.follow_to_end(job_id)
            found[one] = await self.client.job(job_id) | {"steps": progress_of(facts_by_events(events))}
        return found

    async def stopped(self, service: str, told: str, *, speaks: bool = True) -> None:
        """Cancel a job that hangs; its back end is told so."""
        job_id = await self.submit(service, _payload(service, "hangs"))
        await reached(self.client, job_id, "progress" if speaks else "claimed")
        if not speaks:
            await until(lambda: job_id in self.servers.heard, WITHIN_S, "a request that is under way")
        await self.client.cancel(job_id)
        await until(
            lambda: told.format(job_id) in self.servers.cancelled, WITHIN_S, f"a stop of {service} that is told"
        )


def _payload(service: str, does: str) -> dict[str, Any]:
    return WORKFLOW | {"1": {"does": does}} if service == "comfy" else {"does": does}


@pytest_asyncio.fixture
async def calls(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Calls]:
    with ours(request, "workers that call back ends of ours").stack("calls") as stack:
        async with back_ends() as servers, stack.modern() as client:
            told = {"worker_capabilities": '{"models": ["sdxl"], "hardware": {"gpu_count": 2}}'}
            connector = connectors(servers.url, tmp_path)
            await stack.worker("calls", connector=connector, concurrency=8, worker_stop_grace_ms=3_000, **told)
            yield Calls(stack, servers, client)


def said(found: dict[str, dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """How each ended: its result or its error, and after how many attempts."""
    return {one: (job["status"], job["result"] or job["error"], job["attempt"]) for one, job in found.items()}


async def test_what_a_plain_back_end_answers_is_the_end(calls: Calls) -> None:
    found = await calls.ends("plain", "works", "text", "picture", "large", "fails", "busy", "broken", "gone")
    ends = said(found)
    assert ends["works"] == ("completed", {"n": 1}, 1)
    assert ends["text"] == ("completed", {"text": "ä text"}, 1)
    picture = {"content_type": "image/png", "base64": base64.b64encode(b"\x00\xff").decode()}
    assert ends["picture"] == ("completed", picture, 1)
    assert ends["large"] == ("failed", f"the back end's answer is larger than {LARGE - 1} bytes", 1)
    assert ends["fails"] == ("failed", "no ink", 2)
    assert (ends["busy"], ends["broken"]) == (("completed", {"n": 2}, 2), ("completed", {"n": 2}, 2))
    assert (ends["gone"][0], ends["gone"][2]) == ("failed", 1)
    assert ends["gone"][1].endswith("was answered 404: it is gone")
    late = said(await calls.ends("hasty", "hangs"))["hangs"]
    assert (late[0], late[1].endswith("no answer in time"), late[2]) == ("failed", True, 2), late
    job_id = found["busy"]["job_id"]
    heard = calls.servers.heard[job_id]
    wanted = {"X-Job-Id": job_id, "X-Job-Attempt": "2", "Idempotency-Key": job_id, "Authorization": AUTHORIZATION}
    assert wanted.items() <= heard["headers"].items()
    assert (heard["body"], heard["service"]) == ({"does": "busy"}, "plain")
    odd = await calls.submit("plain", {"does": "works"}, "a b?c")
    assert (await calls.client.follow_to_end(odd))[-1].kind == "completed"
    assert odd in calls.servers.heard
    await calls.stopped("plain", "{}", speaks=False)


async def test_a_bureau_is_asked_until_the_job_is_done_there(calls: Calls) -> None:
    found = await calls.ends("bureau", "works", "whole", "fails", "forgets", "stays away", "nameless")
    ends = said(found)
    assert ends["works"] == ("completed", [1], 1)
    assert ends["whole"] == ("completed", {"data": {"state": "ok", "part": 1, "n": 7}}, 1)
    assert ends["fails"] == ("failed", "no ink", 2)
    assert (ends["forgets"][0], ends["forgets"][2], "404" in ends["forgets"][1]) == ("failed", 1, True)
    assert (ends["stays away"][0], ends["stays away"][2], "503" in ends["stays away"][1]) == ("failed", 2, True)
    assert ends["nameless"] == ("failed", "the back end took the job but its answer has no 'job.ref'", 2)
    assert (found["works"]["steps"], found["whole"]["steps"]) == ([25], [100])
    assert found["works"]["status_message"] == "warming"
    await calls.stopped("bureau", "{}-1")


async def test_a_line_is_spoken_over_by_each_job_for_itself(calls: Calls) -> None:
    found = await calls.ends("line", "works", "fails", "for good", "hangs up", "babbles")
    ends = said(found)
    assert ends["works"] == ("completed", {"ok": 1}, 1)
    assert found["works"]["steps"] == [30, 100]
    assert (ends["fails"], ends["for good"]) == (("failed", "no GPU", 2), ("failed", "bad size", 1))
    ends |= said(await calls.ends("hush", "silent"))
    whys = {"hangs up": "closed the connection", "babbles": "no message", "silent": "said nothing for 0.5 s"}
    for one, why in whys.items():
        assert (ends[one][0], ends[one][2], why in ends[one][1]) == ("failed", 2, True), ends[one]
    heard = calls.servers.heard[found["works"]["job_id"]]
    about = {"job_id": found["works"]["job_id"], "attempt": 1, "service": "line", "payload": {"does": "works"}}
    assert heard == {"type": "job"} | about
    await calls.stopped("line", "{}")


async def test_a_workflow_is_queued_followed_and_its_files_named(calls: Calls) -> None:
    found = await calls.ends("comfy", "works", "breaks", "memory", "wrong")
    ends = said(found)
    for one in ("works", "breaks"):
        assert (ends[one][0], ends[one][2]) == ("completed", 1), ends[one]
        url = f"{calls.servers.url}/view?filename=cat+1.png&subfolder=&type=output"
        assert ends[one][1]["files"] == [FILE | {"url": url}]
    assert found["works"]["steps"][-1:] == [75], found
    assert ends["memory"] == ("failed", "node 2 (KSampler): OutOfMemoryError: Allocation failed", 2)
    assert ends["wrong"] == ("failed", "Prompt outputs failed: all; node 1: Value not in list", 1)
    await calls.stopped("comfy", "interrupted")
    assert "off the queue: prompt-5" in calls.servers.cancelled


async def test_pictures_are_drawn_one_after_the_other_and_written(calls: Calls, tmp_path: Path) -> None:
    found = await calls.ends("draw", "a cat", "imageless")
    job_id = found["a cat"]["job_id"]
    file = tmp_path / f"{job_id}-0.png"
    assert found["a cat"]["result"] == {"files": [str(file)], "parameters": {"steps": 2}, "info": {"seed": 7}}
    assert file.read_bytes() == base64.b64decode(PICTURE)
    assert found["a cat"]["steps"] in ([25, 50], [50])
    assert calls.servers.most_at_work == 1, "it works on one request at a time"
    assert said(found)["imageless"] == ("failed", "the server's answer has no images", 2)
    await calls.stopped("draw", "interrupted")


async def test_functions_are_jobs_and_each_connector_has_its_services_and_is_closed(calls: Calls) -> None:
    client, submit = calls.client, calls.submit
    asked: list[tuple[str, dict[str, Any]]] = [
        *(("sheet", {"size": 3}), ("sheet", {"size": "x"}), ("stack", {}), ("stack", {}), ("torn", {})),
        *(("odd", {"does": "a text"}), ("whatever", {"simulate": [{"result": "by the one for all"}]})),
    ]
    jobs = [await submit(service, payload) for service, payload in asked]
    for job_id in jobs:
        await client.follow_to_end(job_id)
    found = [await client.job(job_id) for job_id in jobs]
    assert [job["result"] for job in found] == [
        {"width": 3, "label": "small"},
        None,
        *[{"tags": ["seen"], "in the loop": False}] * 2,
        None,
        "failed",
        "by the one for all",
    ]
    assert (found[0]["progress"], found[0]["status_message"]) == (50, "scaling to 3")
    assert [(job["error"], job["attempt"]) for job in (found[1], found[4])] == [
        ("sheet: Expected `int`, got `str` - at `$.size`", 1),
        ("ValueError: no paper", 2),
    ]
    hanging = await submit("thread", {"simulate": [{"progress": 1}, {"hang": True}]})
    await reached(client, hanging)
    await client.cancel(hanging)
    async with calls.stack.http() as http:
        [worker] = (await http.get("/api/workers")).json()["workers"]
    told = worker["capabilities"]
    assert (told["models"], told["components"], told["paper"]) == (["sdxl"], ["brush"], "A4")
    assert told["hardware"].keys() >= {"cpu_cores", "gpu_count"}
    [process] = calls.stack.deployment.workers
    await until(lambda: hanging in process.log_text(), WITHIN_S, "a stop that is logged")
    process.stop()
    assert "connector_ignores_stop" not in process.log_text(), "a thread was not told of the stop"
    assert "the odd connector is closed" in process.log_text()
