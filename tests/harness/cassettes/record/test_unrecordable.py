"""What cannot be written down costs the recording, never the clients: they wait for nothing but the hub."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.cassettes import CassetteWriter, Header, Receive, Send, load
from harness.cassettes.record import Per, Recorder, Sessions
from harness.clients import HubWorker, LegacyClient
from harness.processes import Process, Processes, services
from harness.testing.waiting import until

SCRIPT = {"simulate": [{"progress": 30}, {"result": {"ok": True}}]}
NOTHING_FITS = Path("/dev/full")
"""A file of Linux's whose disk is always full."""


@pytest.fixture(scope="module")
def hub(processes: Processes) -> Process:
    return processes.start(services.hub())


async def a_job_goes_through(recorder: Recorder) -> None:
    async with (
        HubWorker(recorder.ws_url, "worker-a"),
        LegacyClient(recorder.ws_url, "client-a") as client,
    ):
        assert (await client.ended(await client.submit(SCRIPT)))["type"] == "complete_job"


@pytest.mark.parametrize("per", Per)
async def test_a_full_disk_ends_the_recording_and_no_clients_connection(hub: Process, per: Per) -> None:
    told: list[str] = []
    sessions = Sessions(NOTHING_FITS, per=per, on_failure=told.append)
    async with Recorder(hub.http_url, sessions) as recorder:
        await a_job_goes_through(recorder)
        await a_job_goes_through(recorder)
    assert told == ["/dev/full: No space left on device"]
    assert sessions.written == []


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_was_written_before_the_disk_was_full_is_whole(tmp_path: Path) -> None:
    frames = [Receive(at=n, actor="a", message={"text": f"{7**200}"}) for n in range(10)]
    writer = CassetteWriter(tmp_path / "cut.jsonl", Header(cassette=1, scenario="cut", about="", target="hub"))

    def write_all() -> None:
        for frame in frames:
            writer.write(frame)

    with no_file_larger_than(1000):
        with pytest.raises(OSError, match="too large"):
            write_all()
        writer.close()
    kept = (tmp_path / "cut.jsonl").read_text().splitlines(keepends=True)
    assert 2 < len(kept) < 10
    assert all(line.endswith("}\n") for line in kept)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param('{"type": "stay_alive", "x": "\\ud800"}', id="half of a character"),
        *(
            pytest.param(f'{{"type": "stay_alive", "x": {"[" * deep}{"]" * deep}}}', id=f"nested {deep} times")
            for deep in (300, 600, 900)
        ),
    ],
)
async def test_a_frame_that_no_file_can_hold_is_passed_on(hub: Process, tmp_path: Path, frame: str) -> None:
    sessions = Sessions(tmp_path / "odd.jsonl", on_failure=pytest.fail)
    async with (
        Recorder(hub.http_url, sessions) as recorder,
        LegacyClient(recorder.ws_url, "client-a") as client,
    ):
        await client.send(frame)
        await client.expect("response_job_status", job_id="keep-alive")
    await until(lambda: not sessions.is_open, within=5)
    assert len([event for event in load(tmp_path / "odd.jsonl").events if isinstance(event, Send)]) == 1
