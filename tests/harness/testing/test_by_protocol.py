"""`pytest --protocol`: scenarios of a user's own and the project's suites, against a stack with words of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.processes import Processes, Valkey
from tests.foreign_stack.bystander import beside_a_bystander, others
from tests.harness.gate.test_by_protocol import FOREIGN, running
from tests.harness.testing.test_plugin import ROOT, run

PROTOCOL = ("--protocol", str(FOREIGN / "protocol.toml"))
THEIRS = """
import pytest

STEPS = ({"progress": 50}, {"result": {"image": "cat.png"}})


@pytest.mark.both_sides
async def test_a_job_is_completed(protocol_side, protocol_client):
    service = protocol_side.service()
    async with protocol_side.workers(1, service):
        job_id = await protocol_client.submit(protocol_side.payload(*STEPS), service=service)
        end = await protocol_client.ended(job_id, 15)
    assert end.result == {"image": "cat.png"}


async def test_a_job_that_nobody_takes_is_left(protocol_side, protocol_client):
    await protocol_client.submit(protocol_side.payload(*STEPS), service=protocol_side.service())


async def test_an_old_client_is_served(protocol_side, legacy_client):
    service = protocol_side.service()
    async with protocol_side.workers(1, service):
        job_id = await legacy_client.submit(protocol_side.payload(*STEPS), service=service)
        assert (await legacy_client.ended(job_id))["result"] == {"image": "cat.png"}


async def test_of_hubgates_own_words(modern_client):
    raise AssertionError("it is skipped")


async def test_of_monitors(monitor):
    raise AssertionError("it is skipped")


async def test_of_recordings(cassette):
    await cassette("none.jsonl")
"""
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def url(valkey: Valkey) -> Iterator[str]:
    """A database in which somebody else's job waits, and still does afterwards; all others have ended."""
    url = valkey.url_of(4)
    with beside_a_bystander(url) as client:
        yield url
        assert others(client)


def test_a_users_own_scenarios_run_on_a_stack_by_its_protocol(processes: Processes, url: str, tmp_path: Path) -> None:
    (tmp_path / "test_ours.py").write_text(THEIRS)
    with running(processes, url) as server:
        ended = run(tmp_path, "-rs", "--candidate", server.http_url, "--redis", url, *PROTOCOL)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "4 passed, 3 skipped" in ended.stdout, ended.stdout
    for who in ("a client of hubgate's stack", "a hub's monitor"):
        assert f"it speaks as {who} does: of this target no more is known than its protocol foreign" in ended.stdout


def test_the_same_scenario_runs_on_hubgates_own_hub_and_stack(tmp_path: Path) -> None:
    (tmp_path / "test_ours.py").write_text(THEIRS)
    ended = run(tmp_path, "-k", "completed")
    assert "2 passed" in ended.stdout, ended.stdout


def test_the_projects_suites_ask_what_a_protocol_can_tell_and_skip_the_rest(
    processes: Processes, url: str, tmp_path: Path
) -> None:
    chosen = "a_cancelled_job or unknown_job or learn_the_same or one_kind_of_client or shown_alike or large_result"
    with running(processes, url) as server:
        target = ("--candidate", server.http_url, "--redis", url, *PROTOCOL)
        ended = run(tmp_path, str(ROOT / "scenarios"), "-c", str(ROOT / "pyproject.toml"), "-rs", "-k", chosen, *target)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "4 passed" in ended.stdout, ended.stdout
    assert "the target has other words" in ended.stdout


def test_what_a_stack_does_wrong_is_told_in_its_teams_words(processes: Processes, url: str, tmp_path: Path) -> None:
    with running(processes, url, "no-cancel") as server:
        target = ("--candidate", server.http_url, "--redis", url, *PROTOCOL)
        ended = run(
            tmp_path, str(ROOT / "scenarios"), "-c", str(ROOT / "pyproject.toml"), "-k", "a_cancelled_job", *target
        )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "though the cancellation was answered with yes" in ended.stdout


def test_a_protocol_without_its_target_is_wrong_usage(tmp_path: Path) -> None:
    ended = run(tmp_path, *PROTOCOL)
    assert ended.returncode == 4
    assert "--protocol tells of a target that runs already: --candidate URL" in ended.stderr
