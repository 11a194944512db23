"""`hubgate record` as a process: recorded, stopped by Ctrl-C, played again by `hubgate replay`."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cassettes import load
from harness.clients import LegacyClient
from harness.processes import Launch, Process, Processes, free_port, log_says, services
from harness.testing.waiting import until


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "run") as running:
        yield running


def hubgate(name: str, *arguments: str, ready: str | None, port: int | None = None) -> Launch:
    code = "from hubgate.cli import main; main()"
    command = (sys.executable, "-P", "-c", code, *arguments)
    return Launch(
        name=name,
        command=command,
        probe=log_says(ready) if ready else None,
        port=port,
        environment={"PYTHONUNBUFFERED": "1"},
    )


async def ended(process: Process) -> int | None:
    await until(lambda: not (process.alive), within=30)
    return process.returncode


async def test_what_was_recorded_until_ctrl_c_replays_as_the_same(processes: Processes, tmp_path: Path) -> None:
    hub = await processes.astart(services.hub())
    out, port = tmp_path / "mine.jsonl", free_port()
    arguments = ("record", "--target", hub.ws_url, "--listen", str(port), "--out", str(out), "--blank", "$..key")
    recorder = await processes.astart(hubgate("record", *arguments, ready="Recording on", port=port))
    client = LegacyClient(recorder.ws_url, "client-a")
    await client.open()
    await client.cancel(await client.submit({"prompt": "a cat", "key": "hush"}))
    await client.send({"type": "stay_alive"})  # answered after both answers to the cancel, so these are recorded
    await client.expect("response_job_status", job_id="keep-alive")
    recorder.expected_to_live = False
    recorder.signal(signal.SIGINT)
    assert await ended(recorder) == 0
    assert str(out) in recorder.log_text()
    assert "hush" not in out.read_text()
    assert load(out).roles == {"client-a": "client"}
    replayed = processes.start(hubgate("replay", "replay", str(out), "--legacy", hub.http_url, ready=None))
    assert await ended(replayed) == 0
    assert replayed.log_text() == "mine: same\n"


async def test_a_rule_that_is_none_ends_with_one_sentence(processes: Processes, tmp_path: Path) -> None:
    arguments = ("record", "--target", "http://127.0.0.1:1", "--out", str(tmp_path / "x.jsonl"), "--blank", "key")
    process = processes.start(hubgate("bad", *arguments, ready=None))
    assert await ended(process) == 2
    assert process.log_text().startswith("hubgate: key is no JSON path")
    assert "Traceback" not in process.log_text()


@pytest.mark.parametrize(("out", "says"), [("kept.jsonl", "is there already"), ("no/dir/x.jsonl", "cannot be written")])
async def test_a_file_that_cannot_become_the_recording_is_refused_before_anybody_comes(
    processes: Processes, tmp_path: Path, out: str, says: str
) -> None:
    (tmp_path / "kept.jsonl").write_text("yesterday")
    (tmp_path / "no").write_text("a file, where a folder would have to be")
    arguments = ("record", "--target", "http://127.0.0.1:1", "--out", str(tmp_path / out))
    process = processes.start(hubgate("refused", *arguments, ready=None))
    assert await ended(process) == 2
    assert says in process.log_text()
    assert (tmp_path / "kept.jsonl").read_text() == "yesterday"


async def test_a_recording_that_broke_off_says_so_at_once_and_at_its_end(processes: Processes, tmp_path: Path) -> None:
    hub = await processes.astart(services.hub(name="longer-hub"))
    port, out = free_port(), tmp_path / "odd.jsonl"
    arguments = ("record", "--target", hub.ws_url, "--listen", str(port), "--out", str(out))
    recorder = await processes.astart(hubgate("full", *arguments, ready="Recording on", port=port))
    out.mkdir()  # in the place of the file
    async with LegacyClient(recorder.ws_url, "client-a") as client:
        await client.submit({})
    assert "Is a directory. Nothing more is recorded; everything is still passed on." in recorder.log_text()
    recorder.expected_to_live = False
    recorder.signal(signal.SIGINT)
    assert await ended(recorder) == 3
    assert "Traceback" not in recorder.log_text()
