"""`hubgate record --protocol` and `replay --protocol`: recordings in words of their own, played and judged by them."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from harness.cassettes import load
from harness.cassettes.conversation import conversation_of
from harness.clients.spoken_side import SpokenSide
from harness.processes import Process, Processes, Valkey, free_port
from harness.protocols import EventKind
from harness.targets import StackTarget
from tests.foreign_stack.bystander import beside_a_bystander
from tests.harness.cassettes.record.test_command import ended, hubgate
from tests.harness.gate.test_by_protocol import FOREIGN, described, running

PROTOCOL = FOREIGN / "protocol.toml"
CASSETTES = Path(__file__).parents[2] / "scenarios" / "cassettes"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def url(valkey: Valkey) -> Iterator[str]:
    """A database in which somebody else's job waits, and still does afterwards; all others have ended."""
    url = valkey.url_of(5)
    with beside_a_bystander(url):
        yield url


async def some_traffic(recorder: Process, url: str, processes: Processes) -> None:
    """A job that completes, one that fails once, one that is cancelled while it waits, one while it runs."""
    target = StackTarget.at(recorder.http_url, redis_url=url)
    side = SpokenSide(target=target, protocol=described(), processes=processes, redis_url=url)
    service = side.service()
    async with side.client() as client, side.workers(1, service):
        done = await client.submit(side.payload({"progress": 40}, {"result": {"a": 1}}), service=service, priority=2)
        await client.ended(done, 15)
        await client.state(done)
        script = [{"progress": 10}, {"fail": "no memory", "attempts": 1}, {"progress": 90}, {"result": {"b": 2}}]
        await client.ended(await client.submit(side.payload(*script), service=service), 15)
        waits = await client.submit(side.payload({"progress": 5}), service=side.service())
        await client.cancel(waits)
        await client.ended(waits, 15)
        runs = await client.submit(side.payload({"progress": 5}, *10 * [{"sleep_ms": 200}]), service=service)
        assert await client.wait(runs, {EventKind.PROGRESS}, 15)
        await client.cancel(runs)
        await client.ended(runs, 15)
        await client.state(runs)


async def recorded(processes: Processes, server: Process, url: str, out: Path, *options: str) -> str:
    """What `hubgate record` says of that traffic."""
    port = free_port()
    where = ("record", "--target", server.http_url, "--listen", str(port), "--out", str(out))
    launch = hubgate(
        f"record-{out.stem}", *where, "--protocol", str(PROTOCOL), *options, ready="Recording on", port=port
    )
    recorder = await processes.astart(launch)
    await some_traffic(recorder, url, processes)
    recorder.expected_to_live = False
    recorder.signal(signal.SIGINT)
    assert await ended(recorder) == 0, recorder.log_text()
    return recorder.log_text()


def replay(*files: Path, options: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hubgate", "replay", *map(str, files), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr
    return done


async def test_what_a_stack_of_somebody_else_was_told_is_recorded_and_played_by_its_protocol(
    processes: Processes, url: str, tmp_path: Path
) -> None:
    out = tmp_path / "today.jsonl"
    with running(processes, url) as server:
        told = await recorded(processes, server, url, out, "--per", "job")
        assert "today.jsonl: recognised: 4 submit, 4 follow, 2 ask, 2 cancel, 4 accepted" in told
        cassette = load(out)
        assert cassette.header.target == "foreign"
        assert {*cassette.roles.values()} == {"http", "sse"}
        assert conversation_of(cassette, described()).unknown == {}
        parts = [tmp_path / f"today-job-{number}.jsonl" for number in (1, 2, 3, 4)]
        assert [len({*conversation_of(load(part), described()).jobs}) for part in parts] == [1, 1, 1, 1]
        options = ("--target", server.http_url, "--redis", url, "--protocol", str(PROTOCOL))
        played = await asyncio.to_thread(replay, out, *parts, options=options)
    assert played.stdout.splitlines() == ["today: same", *(f"today-job-{number}: same" for number in (1, 2, 3, 4))]
    assert played.returncode == 0


async def test_what_is_told_otherwise_than_it_was_recorded_is_found(
    processes: Processes, url: str, tmp_path: Path
) -> None:
    out = tmp_path / "today.jsonl"
    with running(processes, url) as server:
        await recorded(processes, server, url, out)
    options = ("--redis", url, "--protocol", str(PROTOCOL), "--json")
    for fault, sentence in (("no-progress", "never got progress"), ("no-cancel", "never got cancelled")):
        with running(processes, url, fault) as server:
            played = await asyncio.to_thread(replay, out, options=("--target", server.http_url, *options))
        assert played.returncode == 1, played.stdout + played.stderr
        (result,) = map(json.loads, played.stdout.splitlines())
        assert result["verdict"] == "different"
        assert any(sentence in finding["sentence"] for finding in result["findings"]), result["findings"]
        assert ("today: could not be brought to an end: " in played.stderr) is (fault == "no-cancel")
    with redis.Redis.from_url(url) as client:  # what this stack does not cancel
        client.delete(*(key for key in client.keys("job:*") if key != b"job:theirs"))


def test_a_hubs_recordings_are_played_on_a_stack_that_nobody_here_knows(
    processes: Processes, url: str, tmp_path: Path
) -> None:
    names = ("happy-path", "fail-and-retry-on-another-worker", "cancel-pending", "two-types-two-workers")
    with running(processes, url) as server:
        options = ("--candidate", server.http_url, "--redis", url, "--protocol", str(PROTOCOL))
        played = replay(*(CASSETTES / f"{name}.jsonl" for name in names), options=options)
    assert played.stdout.splitlines() == [f"{name}: same" for name in names]
    assert played.returncode == 0


def without(part: str) -> str:
    """The protocol's text without a table, or with a constant in the place of a name that is filled in."""
    text = PROTOCOL.read_text()
    if part.startswith("["):
        return re.sub(rf"^{re.escape(part)}\n.*?(?=^\[|\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
    return text.replace(part, "all") if part == "{services}" else text


@pytest.mark.parametrize(
    ("name", "left_out", "sentence"),
    [
        ("happy-path-seen-by-monitor", "", "A monitor looks at all that is on the target"),
        (
            "submit-odd-priority-text",
            "",
            "A submission in it was not taken",
        ),
        ("worker-drops-mid-job", "", "is cut off, and those that the protocol starts are not"),
        ("client-sends-binary", "", "No client of it submits a job in the words of the protocol foreign"),
        ("cancel-pending", "[cancel]", "Its clients cancel jobs, and the protocol foreign has no [cancel]"),
        ("happy-path", "[worker]", "the protocol foreign does not say how one is started ([worker])"),
        ("happy-path", "{redis}", "workers need the URL of their Redis, and none is given"),
        ("happy-path", "{services}", "workers of the protocol foreign take every service"),
    ],
)
def test_what_cannot_be_played_says_why_and_nothing_is_sent(
    processes: Processes, url: str, tmp_path: Path, name: str, left_out: str, sentence: str
) -> None:
    protocol = tmp_path / "theirs.toml"
    protocol.write_text(without(left_out))
    with running(processes, url) as server:
        given = () if left_out == "{redis}" else ("--redis", url)
        options = ("--target", server.http_url, "--protocol", str(protocol), *given)
        played = replay(CASSETTES / f"{name}.jsonl", options=options)
    assert sentence in played.stdout, played.stdout + played.stderr
    assert played.returncode == 3
    with redis.Redis.from_url(url, decode_responses=True) as client:
        assert [key for key in client.keys("job:*") if key != "job:theirs"] == []


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        (("--protocol", str(PROTOCOL)), 2, "--protocol needs one target that runs already"),
        (("--target", "http://127.0.0.1:9"), 2, "--target and --recorded-by need --protocol"),
        (("--target", "http://127.0.0.1:9", "--protocol", str(PROTOCOL)), 3, "nothing answers at http://127.0.0.1:9"),
    ],
)
def test_a_target_and_its_protocol_belong_together(options: tuple[str, ...], status: int, sentence: str) -> None:
    played = replay(CASSETTES / "happy-path.jsonl", options=options)
    assert (played.returncode, sentence in " ".join(played.stderr.split())) == (status, True), played.stderr
