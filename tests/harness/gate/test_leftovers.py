"""What is left of a run's jobs on somebody else's target is ended; what is not the run's stays."""

import httpx

from harness.clients import LegacyClient
from harness.gate.leftovers import end_what_is_left
from harness.processes import Processes, services, start_valkey
from harness.targets import HubTarget, StackTarget

OURS = ("simulation-0f3a", "render-0f3a")


async def test_on_a_stack_the_runs_own_jobs_are_ended_and_no_others(processes: Processes) -> None:
    valkey = start_valkey(processes)
    api = await processes.astart(services.api(redis_url=valkey.url, name="their-api"))
    with httpx.Client(base_url=api.http_url) as http:
        ours = [{"service_required": OURS[number % 2], "id": f"ours-{number}"} for number in range(130)]
        theirs = [{"service_required": "simulation", "id": f"theirs-{number}"} for number in range(3)]
        http.post("/api/jobs", json=[*ours[:70], *theirs]).raise_for_status()
        http.post("/api/jobs", json=ours[70:]).raise_for_status()
        assert await end_what_is_left([StackTarget.at(api.http_url, redis_url=valkey.url)], OURS) == []
        assert http.get("/api/stats").json()["queue"]["pending"] == 3
        assert http.get("/api/jobs/ours-129").json()["status"] == "cancelled"
        assert http.get("/api/jobs/theirs-0").json()["status"] == "pending"


async def test_on_a_hub_the_runs_own_jobs_are_ended_and_no_others(processes: Processes) -> None:
    hub = await processes.astart(services.hub(name="their-hub"))
    async with LegacyClient(hub.ws_url, "bystander") as client:
        ours = [await client.submit({}, service=OURS[0]) for _ in range(5)]
        theirs = await client.submit({}, service="simulation")
        assert await end_what_is_left([HubTarget.at(hub.ws_url)], OURS) == []
        assert {(await client.status(job_id))["status"] for job_id in ours} == {"cancelled"}
        assert (await client.status(theirs))["status"] == "pending"


async def test_what_could_not_be_found_out_is_told() -> None:
    told = await end_what_is_left([HubTarget.at("http://127.0.0.1:9")], OURS)
    assert len(told) == 1
    assert "could not be found out" in told[0]
