"""`hubgate load --protocol`: clients that speak it, workers of this load alone, the report and verdict of any load."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from harness.processes import Launch, Processes, Valkey, log_says, services
from harness.results.run import load as read_run
from tests.harness.gate.test_by_protocol import FOREIGN, running

LOAD = ("--duration", "3", "--rate", "8", "--users", "3", "--fleet", "2")
SLOW = {"payload": {"simulate": [{"sleep_ms": 1_600}, {"progress": 50}]}}
THEIRS = {"id": "theirs", "service_required": "theirs", "status": "pending"}
PROTOCOL = str(FOREIGN / "protocol.toml")
pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def url(valkey: Valkey) -> Iterator[str]:
    """A database in which somebody else's job waits, and still does afterwards."""
    url = valkey.url_of(3)
    with redis.Redis.from_url(url, decode_responses=True) as client:
        client.flushdb()
        client.hset("job:theirs", mapping=THEIRS)
        client.zadd("jobs:pending:theirs", {"theirs": 1})
        yield url
        assert client.hgetall("job:theirs") == THEIRS
        assert client.zcard("jobs:pending:theirs") == 1


def load(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hubgate", "load", "--out", str(folder / "load"), *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def said(ended: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in ended.stderr
    return " ".join((ended.stdout + ended.stderr).split())


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "load" / "load.json").read_text())
    return found


def states(url: str) -> list[str]:
    """Of all jobs but theirs."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        jobs = [key for key in client.keys("job:*") if not key.endswith(":events") and key != "job:theirs"]
        return [str(client.hget(key, "status")) for key in jobs]


def test_a_stack_of_somebody_else_is_loaded_and_judged_by_its_protocol(
    processes: Processes, url: str, tmp_path: Path
) -> None:
    with running(processes, url) as server:
        ended = load(tmp_path, *LOAD, "--target", server.http_url, "--redis", url, "--protocol", PROTOCOL)
    assert ended.returncode == 0, said(ended)
    assert "By the protocol foreign alone the target is not asked for its own account" in said(ended)
    found = result(tmp_path)
    assert found["spec"]["protocol"] == "foreign"
    assert found["swarm"]["jobs"]["outcomes"]["completed"] == found["swarm"]["jobs"]["submitted"] == 24
    assert {"submit to accepted", "submit to claim seen", "progress to client", "submit to ended"} <= {
        *found["swarm"]["latencies"]
    }
    assert states(url) == 24 * ["completed"]
    assert read_run(tmp_path / "load" / "run.json").criteria[0].verdict == "pass"


def test_jobs_that_are_dropped_fail_the_load_and_are_brought_to_an_end(
    processes: Processes, url: str, tmp_path: Path
) -> None:
    slow = ("--drain", "4", "--least-jobs", "5", "--job", json.dumps(SLOW), "--worker-env", "FAULTS=busy-drops")
    with running(processes, url) as server:
        ended = load(tmp_path, *LOAD, *slow, "--target", server.http_url, "--redis", url, "--protocol", PROTOCOL)
    assert ended.returncode == 1, said(ended)
    assert "of 24 acknowledged jobs ended and their clients were notified" in said(ended)
    assert result(tmp_path)["swarm"]["jobs"]["outcomes"]["unfinished"] > 0
    assert set(states(url)) == {"completed", "cancelled"}


def test_a_result_that_is_another_jobs_is_noticed(processes: Processes, url: str, tmp_path: Path) -> None:
    swapped = (FOREIGN / "protocol.toml").read_text().replace('result = "data.result"', 'result = "data.worker_id"')
    protocol = tmp_path / "swapped.toml"
    protocol.write_text(swapped.replace("{here}", str(FOREIGN)))
    with running(processes, url) as server:
        ended = load(tmp_path, *LOAD, "--target", server.http_url, "--redis", url, "--protocol", str(protocol))
    assert ended.returncode == 1, said(ended)
    assert "24 x a result that is not that of the job" in said(ended)


def test_a_hub_is_loaded_over_its_websocket(processes: Processes, tmp_path: Path) -> None:
    hub = processes.start(services.hub(name="loaded-hub"))
    ended = load(tmp_path, *LOAD, "--legacy", hub.http_url, "--protocol", "hub")
    assert ended.returncode == 0, said(ended)
    assert result(tmp_path)["side"] == "hub"
    assert result(tmp_path)["swarm"]["jobs"]["outcomes"]["completed"] == 24


def test_workers_that_the_target_has_do_jobs_as_they_are_told(processes: Processes, url: str, tmp_path: Path) -> None:
    environment = {"QUEUE": url, "WORKER": "their-worker", "SERVES": "images"}
    command = (sys.executable, str(FOREIGN / "worker.py"))
    worker = processes.start(
        Launch(name="their-worker", command=command, environment=environment, probe=log_says("waits for work"))
    )
    job = json.dumps({"service": "images", "payload": {"simulate": [{"progress": 50}, {"result": {"n": 1}}]}})
    with running(processes, url) as server:
        target = ("--target", server.http_url, "--protocol", PROTOCOL)
        ended = load(tmp_path, *LOAD[:-2], *target, "--fleet", "0", "--job", job)
    worker.stop()
    assert ended.returncode == 0, said(ended)
    assert states(url) == 24 * ["completed"]


def without(*parts: str) -> str:
    """The protocol's text without these."""
    text = (FOREIGN / "protocol.toml").read_text()
    for part in parts:
        assert part in text
        text = text.replace(part, "")
    return text


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        ((), 3, "nothing answers at http://127.0.0.1:9"),
        (("--population",), 2, "--population needs clients or processes of hubgate's own"),
        (("--shape", "migration"), 2, "needs clients of two protocols"),
        (("--fleet", "0"), 2, "--job says what they shall do"),
        (("--candidate", "http://127.0.0.1:9"), 2, "--protocol needs one target that runs already"),
    ],
)
def test_what_cannot_be_had_is_said_in_a_sentence(
    tmp_path: Path, options: tuple[str, ...], status: int, sentence: str
) -> None:
    ended = load(tmp_path, *LOAD, "--target", "http://127.0.0.1:9", "--protocol", PROTOCOL, *options)
    assert ended.returncode == status, said(ended)
    assert sentence in said(ended).replace("│ ", "").replace(" │", "")


def test_a_target_without_a_protocol_is_no_target(tmp_path: Path) -> None:
    ended = load(tmp_path, "--target", "http://127.0.0.1:9")
    assert ended.returncode == 2
    assert "--target needs --protocol" in said(ended)


FOLLOW = '[follow]\nrequest = "GET /api/jobs/{job_id}/progress"\n'


@pytest.mark.parametrize(
    ("left_out", "sentence"),
    [
        ((), "workers need the URL of their Redis, and none is given"),
        (("{redis}", "{services}"), "take every service"),
        ((FOLLOW,), "no client is told how its jobs end: the protocol foreign has no `[follow]`"),
    ],
)
def test_nothing_is_sent_where_the_protocol_does_not_allow_it(
    processes: Processes, url: str, tmp_path: Path, left_out: tuple[str, ...], sentence: str
) -> None:
    protocol = tmp_path / "theirs.toml"
    protocol.write_text(without(*left_out))
    with running(processes, url) as server:
        ended = load(tmp_path, *LOAD, "--target", server.http_url, "--protocol", str(protocol))
    assert ended.returncode == 3, said(ended)
    assert sentence in said(ended)
    assert states(url) == []
