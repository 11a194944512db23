"""The hub over real sockets, its jobs in a real Valkey: the recordings again, and the bounds."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import subprocess
import sys
from typing import Any

import httpx
import pytest
import redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_sync

from harness.cassettes.replay import replay
from harness.parity import compare
from harness.processes.ports import free_port, http_ok
from harness.processes.processes import Processes
from harness.processes.redis import start_valkey
from harness.processes.services import hub as hub_launch
from harness.processes.services import module_launch
from harness.targets import HubTarget
from tests.legacy_hub_sim.cassettes import NAMES, TOKENS, cassette
from tests.legacy_hub_sim.conftest import StartHub

TOO_LONG = {"worker-drops-mid-job"}
"""75 seconds of silence; played against the core, on its clock."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TOO_LONG])
async def test_the_server_answers_as_the_recorded_hub(name: str, redis_url: str, start_hub: StartHub) -> None:
    token = TOKENS.get(name, "")
    port = await start_hub(redis_url=redis_url, token=token)
    recorded = cassette(name)
    transcript = await replay(recorded, HubTarget.at(f"ws://127.0.0.1:{port}", owned=True, token=token))
    assert compare(recorded.events, transcript.events) == []


def test_the_process_takes_its_settings_from_options_and_environment_and_ends_when_told(
    redis_url: str, processes: Processes
) -> None:
    environment = {"REDIS_URL": redis_url, "WEBSOCKET_AUTH_TOKEN": "s3cret"}
    port = free_port()
    launch = module_launch(
        "legacy_hub_sim",
        ["--port", str(port)],
        name="hub",
        port=port,
        environment=environment,
        probe=http_ok("127.0.0.1", port, "/"),
    )
    hub = processes.start(launch)
    answer = httpx.post(f"{hub.http_url}/api/jobs", json={"job_type": "t", "payload": {}, "job_id": "kept"})
    assert answer.json()["success"]
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.hget("job:kept", "status") == "pending"
        assert client.zrange("job_priority_queue", 0, -1) == ["kept"]
    with connect_sync(f"{hub.ws_url}/ws/client/c") as socket:
        assert [json.loads(text)["error"] for text in socket] == ["Authentication failed: Invalid token"]
    assert hub.stop() == 0


def test_without_a_redis_it_keeps_its_jobs_in_memory(processes: Processes) -> None:
    port = free_port()
    probe = http_ok("127.0.0.1", port, "/")
    hub = processes.start(module_launch("legacy_hub_sim", ["--port", str(port)], name="hub", port=port, probe=probe))
    body = {"job_type": "t", "payload": {}, "job_id": "kept"}
    assert httpx.post(f"{hub.http_url}/api/jobs", json=body).json()["success"]
    assert httpx.get(f"{hub.http_url}/api/jobs/kept").json()["status"] == "pending"
    assert "store=memory" in hub.log_text()
    assert hub.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--redis", "redis://:secret@127.0.0.1:1/0"], 3, "hub: Redis at redis://127.0.0.1:1/0 does not answer"),
        (["--redis", "nowhere"], 3, "hub: Redis at nowhere does not answer"),
        (["--without", "slow"], 2, "hub: there is no fault named 'slow'"),
        (["--in-memory", "--redis", "redis://x"], 2, "hub: --in-memory and --redis exclude each other"),
        (["--port", "many"], 2, "Usage:"),
        (["--in-memory", "--host", "203.0.113.7"], 3, "hub: cannot listen on 203.0.113.7:8001"),
    ],
)
def test_what_keeps_it_from_running_is_told_in_one_sentence(arguments: list[str], status: int, sentence: str) -> None:
    command = [sys.executable, "-m", "legacy_hub_sim", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == status
    assert ended.stderr.startswith(sentence)
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stderr


async def talk(port: int, role: str, name: str, **options: Any) -> ClientConnection:
    """Connect, and take the greeting."""
    socket = await connect(f"ws://127.0.0.1:{port}/ws/{role}/{name}", max_size=None, compression=None, **options)
    await socket.recv()
    return socket


async def say(socket: ClientConnection, type_: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": type_, **fields}))


async def hear(socket: ClientConnection, type_: str) -> dict[str, Any]:
    """The next message of a type; others are passed over."""
    async with asyncio.timeout(10):
        while (message := json.loads(await socket.recv()))["type"] != type_:
            pass
    return dict(message)


async def test_a_large_offer_comes_in_chunks_that_make_the_whole(start_hub: StartHub) -> None:
    port = await start_hub()
    client, worker = await talk(port, "client", "c"), await talk(port, "worker", "w")
    await say(worker, "register_worker", capabilities={"supported_job_types": ["t"]})
    payload = {"blob": "é" * 2_500_000}
    await say(client, "submit_job", job_type="t", payload=payload, message_id="j")
    pieces = [await hear(worker, "chunked_message")]
    while len(pieces) < pieces[0]["total_chunks"]:
        pieces.append(await hear(worker, "chunked_message"))
    whole = "".join(piece["content"] for piece in pieces)
    assert [piece["chunk_id"] for piece in pieces] == [0, 1, 2]
    assert {len(piece["content"]) for piece in pieces[:-1]} == {1_000_000}
    assert {piece["message_hash"] for piece in pieces} == {hashlib.md5(whole.encode()).hexdigest()}
    assert {(piece["original_type"], piece["job_id"]) for piece in pieces} == {("job_available", "j")}
    assert json.loads(whole)["job_request_payload"] == payload
    await client.close()
    await worker.close()


async def test_a_frame_beyond_16_mb_ends_its_connection_only(start_hub: StartHub) -> None:
    port = await start_hub()
    client, other = await talk(port, "client", "c"), await talk(port, "client", "d")
    with contextlib.suppress(ConnectionClosed):
        await say(client, "submit_job", payload={"blob": "x" * 17_000_000})
    await client.wait_closed()
    assert client.close_code == 1009
    await say(other, "stay_alive")
    assert (await hear(other, "response_job_status"))["status"] == "acknowledged"
    await other.close()


async def test_a_thousand_connections_are_all_answered(start_hub: StartHub) -> None:
    port = await start_hub()
    async with asyncio.timeout(60):
        sockets = [await talk(port, "client", f"c{number}") for number in range(1000)]
        for socket in sockets:
            await say(socket, "stay_alive")
        answers = [await hear(socket, "response_job_status") for socket in sockets]
    assert {answer["status"] for answer in answers} == {"acknowledged"}
    for socket in sockets:
        socket.transport.abort()


async def test_a_client_that_never_reads_is_cut_off_and_the_worker_goes_on(start_hub: StartHub) -> None:
    port = await start_hub(stuck_seconds=0.5, ping_seconds=1000)
    worker = await talk(port, "worker", "w")
    await say(worker, "register_worker", capabilities={"supported_job_types": ["t"]})
    client = await talk(port, "client", "deaf", max_queue=1)
    await say(client, "submit_job", job_type="t", message_id="j")
    await hear(worker, "job_available")
    await say(worker, "claim_job", job_id="j")
    await hear(worker, "job_assigned")
    client.transport.pause_reading()
    details = {"blob": "x" * 1_000_000}
    for percent in range(30):
        await say(worker, "update_job_progress", job_id="j", progress=percent, connector_details=details)
    await say(worker, "complete_job", job_id="j")
    await hear(worker, "job_completed_ack")
    monitor = await talk(port, "monitor", "m")
    assert (await hear(monitor, "stats_broadcast"))["connections"]["clients"] == []
    client.transport.abort()
    await worker.close()
    await monitor.close()


async def test_waiting_for_a_job_over_rest_ends_with_its_result(start_hub: StartHub) -> None:
    port = await start_hub()
    worker = await talk(port, "worker", "w")
    await say(worker, "register_worker", capabilities={"supported_job_types": ["t"]})
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        body = {"job_type": "t", "payload": {}, "job_id": "j", "wait": True, "timeout": 10}
        waiting = asyncio.create_task(http.post("/api/jobs", json=body))
        await hear(worker, "job_available")
        await say(worker, "claim_job", job_id="j")
        await say(worker, "complete_job", job_id="j", result={"ok": True})
        answer = (await waiting).json()
    assert (answer["status"], answer["result"], answer["worker_id"]) == ("completed", {"ok": True}, "w")
    await worker.close()


async def test_a_page_may_ask_and_a_socket_on_another_path_is_refused(start_hub: StartHub) -> None:
    port = await start_hub()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        asked = {"Origin": "http://page", "Access-Control-Request-Method": "POST"}
        preflight = await http.options("/api/jobs", headers=asked)
        plain = await http.get("/", headers={"Origin": "http://page"})
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (200, "http://page")
    assert plain.headers["Access-Control-Allow-Origin"] == "*"
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{port}/ws/nobody/x")
    assert refused.value.response.status_code == 403


async def test_a_redis_that_is_gone_is_shown_to_who_asks_and_the_hub_goes_on(
    processes: Processes, start_hub: StartHub
) -> None:
    valkey = start_valkey(processes)
    port = await start_hub(redis_url=valkey.url)
    client = await talk(port, "client", "c")
    valkey.kill()
    await say(client, "submit_job", job_type="t")
    assert (await hear(client, "error"))["error"].startswith("Server error processing message: ")
    await say(client, "stay_alive")
    await hear(client, "response_job_status")
    monitor, worker = await talk(port, "monitor", "m"), await talk(port, "worker", "w")
    assert (await hear(monitor, "stats_broadcast"))["connections"]["clients"] == ["c"]
    await say(worker, "register_worker", capabilities={"supported_job_types": ["t"]})
    await hear(worker, "worker_registered")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        assert (await http.post("/api/jobs", json={"job_type": "t", "payload": {}})).status_code == 500
        assert (await http.get("/api/jobs/j")).status_code == 500
    valkey.restart()
    await say(client, "submit_job", job_type="t")
    await hear(client, "job_accepted")
    await hear(worker, "job_available")
    for socket in (client, monitor, worker):
        await socket.close()


@pytest.mark.parametrize(("code", "reason"), [(1000, "done"), (1001, ""), (4001, "bye")])
async def test_a_close_is_answered_with_its_own_code_and_reason(code: int, reason: str, start_hub: StartHub) -> None:
    client = await talk(await start_hub(), "client", "c")
    await client.close(code, reason)
    assert (client.close_code, client.close_reason) == (code, reason)


async def test_a_hub_that_stops_says_so_to_every_socket(processes: Processes) -> None:
    launch = hub_launch()
    hub = await processes.astart(launch)
    client = await talk(launch.port or 0, "client", "c")
    hub.terminate()
    await client.wait_closed()
    assert client.close_code == 1012
    assert hub.stop() == 0


async def test_what_is_nested_too_deep_to_be_written_is_dropped_and_the_hub_goes_on(start_hub: StartHub) -> None:
    port = await start_hub()
    client, worker = await talk(port, "client", "c"), await talk(port, "worker", "w")
    await say(worker, "register_worker", capabilities={"supported_job_types": ["t"]})
    for depth in (300, 900, 960, 980):
        nested = '{"a":' * depth + "1" + "}" * depth
        await client.send('{"type": "submit_job", "job_type": "t", "payload": ' + nested + "}")
    await say(client, "stay_alive")
    await hear(client, "response_job_status")
    await say(worker, "worker_heartbeat", worker_id="w")
    await hear(worker, "worker_heartbeat_ack")
    await client.close()
    await worker.close()
