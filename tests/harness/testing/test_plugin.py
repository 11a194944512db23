"""The pytest plug-in, used as in somebody else's repository: a file of scenarios, run by pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[3]
CASSETTE = ROOT / "scenarios" / "cassettes" / "happy-path.jsonl"
LIMIT_S = 60

SCENARIOS = """
import pytest

PAYLOAD = {"simulate": [{"progress": 50}, {"result": {"image": "cat.png"}}]}


@pytest.mark.both_sides
async def test_a_job_is_completed(legacy_client, monitor):
    job_id = await legacy_client.submit(PAYLOAD)
    assert (await legacy_client.ended(job_id))["type"] == "complete_job"
    await monitor.expect("complete_job", job_id=job_id)


@pytest.mark.criterion("modern-clients")
async def test_a_modern_client_follows(modern_client):
    events = await modern_client.follow_to_end(await modern_client.submit(PAYLOAD))
    assert [event.kind for event in events] == ["submitted", "claimed", "progress", "completed"]


async def test_a_killed_worker_loses_nothing(legacy_client, nemesis):
    async with nemesis.workers(share=1.0) as killing:
        job_id = await legacy_client.submit({"simulate": [{"sleep_ms": 800}, {"result": {"n": 1}}]})
        await killing.done()
    assert (await legacy_client.ended(job_id))["result"] == {"n": 1}
"""
NAMES_OF_THEIR_OWN = """
import pytest


@pytest.fixture(scope="module")
def processes():
    return "theirs"


@pytest.fixture
def redis_server(processes):
    return processes


@pytest.fixture
def run_folder():
    return "theirs"


@pytest.fixture
def hub():
    return "theirs"


@pytest.fixture
def stack():
    return "theirs"


@pytest.mark.parametrize("target", ["theirs"])
def test_only_theirs(target, processes, redis_server, run_folder, hub, stack):
    assert {target, processes, redis_server, run_folder, hub, stack} == {"theirs"}


@pytest.mark.both_sides
async def test_theirs_beside_ours(legacy_client, modern_client, nemesis, processes, redis_server, hub, stack):
    job_id = await legacy_client.submit({"simulate": [{"progress": 50}, {"result": {"n": 1}}]})
    assert (await legacy_client.ended(job_id))["result"] == {"n": 1}
    assert {processes, redis_server, hub, stack} == {"theirs"}
"""
FAILING = """
import pytest


@pytest.mark.both_sides
async def test_what_only_the_hub_does(legacy_client, target):
    await legacy_client.send({"type": "no_such_message"})
    await legacy_client.expect("error")
    assert target.target.side.value == "hub"
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    command = [sys.executable, "-m", "pytest", "-p", "harness.testing.plugin", "-p", "no:cacheprovider", "-q"]
    return subprocess.run(
        [*command, "--workers", "2", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "220"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.timeout(LIMIT_S + 10)
def test_ten_lines_of_a_users_own_run_on_both_sides(tmp_path: Path) -> None:
    (tmp_path / "test_ours.py").write_text(SCENARIOS)
    ended = run(tmp_path, "-vv")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "test_a_job_is_completed[hub]" in ended.stdout
    assert "test_a_job_is_completed[stack]" in ended.stdout
    assert "4 passed" in ended.stdout


def test_only_what_is_evidence_for_a_criterion_is_run(tmp_path: Path) -> None:
    (tmp_path / "test_ours.py").write_text(SCENARIOS)
    ended = run(tmp_path, "--criterion", "modern-clients")
    assert "1 passed, 3 deselected" in ended.stdout, ended.stdout


def test_a_failure_shows_the_hub_beside_the_stack(tmp_path: Path) -> None:
    (tmp_path / "test_ours.py").write_text(FAILING)
    ended = run(tmp_path)
    assert ended.returncode == 1, ended.stdout
    assert "hub and stack, side by side" in ended.stdout
    assert ended.stdout.count("no_such_message") >= 2


def test_a_cassette_is_played_and_judged(tmp_path: Path) -> None:
    (tmp_path / "test_ours.py").write_text(
        f"import pytest\nPATH = {str(CASSETTE)!r}\nasync def test_same(cassette):\n    await cassette(PATH)\n"
    )
    declared = str(ROOT / "scenarios" / "deviations.toml")
    ended = run(tmp_path, "--deviations", declared)
    assert ended.returncode == 0, ended.stdout


def test_without_a_server_at_the_url_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "test_ours.py").write_text(SCENARIOS)
    ended = run(tmp_path, "--candidate", "http://127.0.0.1:9", "-k", "modern")
    assert ended.returncode == 3
    assert "nothing answers at http://127.0.0.1:9" in ended.stdout


@pytest.mark.timeout(LIMIT_S + 10)
def test_fixtures_of_a_users_own_may_have_any_name(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(NAMES_OF_THEIR_OWN)
    ended = pytester.runpytest_subprocess("-p", "harness.testing.plugin", "--workers", "1", timeout=LIMIT_S)
    ended.assert_outcomes(passed=3)
