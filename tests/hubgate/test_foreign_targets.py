"""Commands that speak hubgate's own words refuse what has other ones at once, in a sentence that says what does it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from harness.processes import Process, Processes, Valkey, services
from tests.harness.gate.test_by_protocol import running

ROOT = Path(__file__).parents[2]
CASSETTE = ROOT / "scenarios" / "cassettes" / "happy-path.jsonl"
SAID = "does not speak as"
POINTER = "hubgate gate --protocol FILE"
LOAD = ("--duration", "2", "--users", "2", "--fleet", "1")
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def foreign(processes: Processes, valkey: Valkey) -> Iterator[Process]:
    with running(processes, valkey.url_of(1)) as server:
        yield server


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "command",
    [
        ("hubgate", "gate"),
        ("hubgate", "load", *LOAD),
        ("hubgate", "replay", str(CASSETTE)),
        ("pytest", str(ROOT / "scenarios" / "test_modern_clients.py"), "-q", "-n", "0", "-p", "no:cacheprovider"),
    ],
    ids=lambda command: " ".join(command[:2]) if command[0] == "hubgate" else "scenarios",
)
def test_a_stack_with_words_of_its_own_is_refused_in_a_sentence_and_left_as_it_was(
    foreign: Process, valkey: Valkey, tmp_path: Path, command: tuple[str, ...]
) -> None:
    url = valkey.url_of(1)
    with redis.Redis.from_url(url) as client:
        client.set("theirs", "kept")
        folder = ROOT if command[0] == "pytest" else tmp_path
        ended = run(*command, "--candidate", foreign.http_url, "--redis", url, folder=folder)
        said = " ".join((ended.stdout + ended.stderr).split())
        assert ended.returncode == 3, said
        assert SAID in said
        assert POINTER in said
        assert "Traceback" not in said
        assert client.keys("*") == [b"theirs"]


def test_a_hub_that_does_not_greet_workers_gets_no_load(foreign: Process, tmp_path: Path) -> None:
    ended = run("hubgate", "load", *LOAD, "--legacy", foreign.http_url, folder=tmp_path)
    said = " ".join(ended.stderr.split())
    assert ended.returncode == 3, said
    assert SAID in said
    assert "/ws/worker/" in said
    assert "Traceback" not in said


def test_a_load_without_the_hubs_token_is_told_so_at_once(processes: Processes, tmp_path: Path) -> None:
    hub = processes.start(services.hub(name="guarded-hub", token="hush-hush"))
    ended = run("hubgate", "load", *LOAD, "--legacy", hub.http_url, folder=tmp_path)
    assert ended.returncode == 3
    assert "Invalid token (--token)" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
