"""Whole runs against a real stack and a real hub, with real worker processes; short."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import psutil
import pytest

from harness import defects
from harness.errors import CouldNotRun
from harness.faults import Waves
from harness.history import HistoryWriter
from harness.history.absences import Part
from harness.load.arrivals import Plan, Shape
from harness.load.excuses import BROWNED_OUT, BY_REST, SENT_AWAY, SENT_AWAY_IN_FLIGHT
from harness.load.fleet import Fleet
from harness.load.judge import explained_errors, unexplained_errors
from harness.load.latencies import Metric
from harness.load.ledger import Complaint, Outcome
from harness.load.population import Kind, read_population
from harness.load.results import LoadResult
from harness.load.runner import run
from harness.load.spec import MOVING, Demands, Kills, LoadSpec, Mix
from harness.load.swarm import LiveLine
from harness.machine_time import MachineLog
from harness.processes import Processes, services, start_valkey
from harness.results import Verdict
from harness.targets import Crew, Deployment, Setup, Side
from harness.testing.waiting import until

pytestmark = pytest.mark.timeout(300)
JOURNALED = ("run_twice", "unclaimed_run", "never_run", "wrong_worker")
FAIR = Demands(least_jobs=10, most_lag_ms=2000)
"""The machine of a test may be busy with others: that the generator was late is no finding here."""


def spec(**more: object) -> LoadSpec:
    defaults: dict[str, object] = {
        "plan": Plan(rate=10, duration_s=4),
        "mix": Mix(legacy=3, sse=3, monitors=1, sse_monitors=1),
        "fleet": 3,
        "sample_s": 0.5,
        "demands": FAIR,
    }
    return LoadSpec(**(defaults | more))  # type: ignore[arg-type]


async def test_a_load_on_the_stack_is_measured_and_judged(tmp_path: Path) -> None:
    lines: list[LiveLine] = []
    result = await run(spec(), tmp_path, on_live=lines.append)
    assert result.judgement.verdict is Verdict.PASS, result.judgement.explanation
    assert result.swarm.jobs.outcomes[Outcome.COMPLETED] == 40
    assert set(result.swarm.latencies) == set(Metric)
    assert result.swarm.latencies[Metric.PROGRESS_SEEN].overall.count == 120, "the workers stamp their progress"
    assert {series.part for series in result.memory} == {"api", "generator", "redis", "workers"}
    assert all(series.per_process[0] > 1_000_000 for series in result.memory)
    assert result.fleet is not None
    assert (result.fleet.size, result.fleet.alive, result.fleet.exits) == (3, 3, [])
    assert result.fleet.start_ms.count == 3
    assert result.depth
    assert lines[-1].ended == 40
    assert result.checks["lost"].examined == 40
    assert {name: result.checks[name].examined for name in JOURNALED} == dict.fromkeys(JOURNALED, 40)
    assert result.checks["result_swapped"].examined >= 80, "the log and the clients told each result"
    assert not any(check.violations for check in result.checks.values())
    assert msgspec.json.decode((tmp_path / "load.json").read_bytes(), type=LoadResult) == result


async def test_the_same_load_on_the_hub(tmp_path: Path) -> None:
    result = await run(spec(side=Side.HUB, plan=Plan(rate=4, duration_s=4), generators=2), tmp_path)
    assert result.judgement.verdict is Verdict.PASS, result.judgement.explanation
    assert result.swarm.users == {"LegacyWebSocketUser": 6, "MonitorUser": 2}
    assert result.swarm.jobs.outcomes[Outcome.COMPLETED] == 16
    assert result.swarm.latencies[Metric.PROGRESS_SEEN].overall.count == 48
    assert {series.part for series in result.memory} >= {"hub", "workers"}
    assert {name: result.checks[name].examined for name in JOURNALED} == dict.fromkeys(JOURNALED, 16)
    assert not any(result.checks[name].violations for name in JOURNALED)


async def test_a_target_that_runs_already_is_loaded_and_left_running(tmp_path: Path) -> None:
    async with Processes(tmp_path / "theirs") as processes:
        valkey = await asyncio.to_thread(start_valkey, processes)
        terms = {"redis_url": valkey.url, "prefix": "{emp}"}
        api = await processes.astart(services.api(**terms, token="secret"))
        await processes.astart(services.worker("their-worker", **terms))
        given = {"url": api.http_url, "token": "secret", "plan": Plan(rate=5, duration_s=3)}
        result = await run(spec(fleet=0, **given), tmp_path / "alone")
        assert result.judgement.verdict is Verdict.PASS, result.judgement.explanation
        assert (result.owned, result.fleet, [series.part for series in result.memory]) == (False, None, ["generator"])
        helped = await run(spec(fleet=2, redis=valkey.url, prefix="{emp}", **given), tmp_path / "helped")
        assert helped.judgement.verdict is Verdict.PASS, helped.judgement.explanation
        assert helped.fleet is not None
        assert helped.fleet.alive == 2
        assert api.alive
        with pytest.raises(CouldNotRun, match="needs the stack's Redis"):
            await run(spec(fleet=2, **given), tmp_path / "lost")


async def test_killed_workers_come_back_and_no_job_is_lost(tmp_path: Path) -> None:
    quick = {"HUBGATE_LEASE_MS": "2000", "WORKER_HEARTBEAT_INTERVAL_MS": "500"}
    kills = Kills(waves=2, share=0.5, every_s=1.5)
    terms = {"worker_environment": quick, "server_environment": quick}
    result = await run(spec(fleet=4, kills=kills, drain_s=40, **terms), tmp_path)
    assert result.judgement.verdict is Verdict.PASS, result.judgement.explanation
    assert result.swarm.jobs.outcomes[Outcome.COMPLETED] == 40
    assert result.fleet is not None
    assert len(result.fleet.exits) == 4
    assert all(death.ours and death.back_after_s is not None for death in result.fleet.exits)
    assert result.fleet.alive == 4


async def test_what_an_earlier_load_left_is_not_taken_for_this_one(tmp_path: Path) -> None:
    for name in ("swarm.json", "live.jsonl", "history-local.jsonl"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(CouldNotRun, match="left no result"):
        await run(spec(fleet=0, plan=Plan(rate=1, duration_s=-1)), tmp_path)
    assert not (tmp_path / "swarm.json").exists()


async def test_without_workers_the_load_fails(tmp_path: Path) -> None:
    by_the_clock = MachineLog()  # nobody watches the machine that runs these tests
    result = await run(spec(fleet=0, drain_s=1), tmp_path, machine=by_the_clock)
    assert result.judgement.verdict is Verdict.FAIL
    assert result.swarm.jobs.outcomes[Outcome.UNFINISHED] == 40
    assert result.swarm.over_time[-1].waiting == 40


WEIGHTS = read_population().kinds
MIXED = msgspec.structs.replace(
    read_population().calm(), kinds=dict.fromkeys(WEIGHTS, 1.0), payload_bytes={0: 3.0, 50_000: 1.0}
)


def mixed(**more: object) -> LoadSpec:
    return spec(population=MIXED, plan=Plan(rate=6, duration_s=7, seed=2), fleet=6, drain_s=30, **more)


async def test_a_population_runs_as_each_jobs_own_script_says(tmp_path: Path) -> None:
    result = await run(mixed(), tmp_path)
    assert result.judgement.verdict is Verdict.PASS, result.judgement.explanation
    outcomes = result.swarm.jobs.outcomes
    assert all(outcomes[one] for one in (Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED))
    assert result.swarm.jobs.ended == result.swarm.jobs.submitted >= 42
    assert set(result.swarm.jobs.kinds) == set(WEIGHTS)
    assert result.checks["retries"].examined
    assert result.checks["cancel_ignored"].examined


async def test_two_connections_under_one_id_and_a_slow_reader_take_nothing_from_anybody(tmp_path: Path) -> None:
    mix = Mix(legacy=1, sse=2, twins=2, monitors=0, sse_monitors=1, slow=1)
    result = await run(spec(mix=mix), tmp_path)
    assert result.judgement.verdict is Verdict.PASS, result.judgement.explanation
    assert result.swarm.users["TwinWebSocketUser"] == 2
    assert result.swarm.users["SlowReaderUser"] == 1
    assert (result.swarm.jobs.ended, result.swarm.errors) == (40, {})
    assert len(result.swarm.watched) == 1, "a slow reader is no monitor"


def test_a_crowd_has_odd_clients_and_is_no_larger() -> None:
    usual = Mix.of(100)
    crowd = usual.crowded()
    assert (crowd.users, crowd.twins, crowd.slow) == (usual.users, 5, 1)
    assert crowd.on(Side.HUB) == Mix(legacy=90, sse=0, monitors=9, sse_monitors=0)


@pytest.mark.parametrize(
    ("defect", "complaint"),
    [
        ("payload-left-behind", Complaint.WRONG_RESULT),
        ("cancel-means-failed", Complaint.NOT_EXPECTED),
        ("every-failure-is-final", Complaint.NOT_EXPECTED),
    ],
)
async def test_a_population_shows_a_defect_by_what_its_clients_see_alone(
    tmp_path: Path, defect: str, complaint: Complaint
) -> None:
    overlay = defects.apply(defects.named(defect), tmp_path / "overlay")
    result = await run(mixed(overlay=str(overlay), checked=False), tmp_path / "load")
    assert result.judgement.verdict is Verdict.FAIL
    assert result.swarm.errors[complaint] > 0


MOVED = read_population().slower().calm().without(Kind.POISON, Kind.OVERLONG)


def moving(**more: object) -> LoadSpec:
    plan = Plan(shape=Shape.MIGRATION, rate=12, duration_s=12, seed=3)
    mix = Mix.of(20, plan.shape)
    return spec(plan=plan, mix=mix, population=MOVED, fleet=6, brown_outs=MOVING, drain_s=30, **more)


async def test_a_migration_goes_through_brown_outs_that_are_explained_and_lose_nothing(tmp_path: Path) -> None:
    result = await run(moving(), tmp_path)
    assert result.judgement.verdict is Verdict.PASS, result.judgement.explanation
    assert [one.part for one in result.absences] == [Part.LEGACY, Part.ALL_LEGACY]
    assert not unexplained_errors(result)
    refused = explained_errors(result)
    for how in (SENT_AWAY, SENT_AWAY_IN_FLIGHT, BY_REST):
        assert any(kind.startswith(how + BROWNED_OUT) for kind in refused), f"nobody was told {how!r}: {refused}"
    assert result.swarm.jobs.ended == result.swarm.jobs.acknowledged


async def test_a_migration_sees_that_a_brown_out_does_not_spare_clients_with_jobs_in_flight(tmp_path: Path) -> None:
    overlay = defects.apply(defects.named("brown-out-loses-events"), tmp_path / "overlay")
    result = await run(moving(overlay=str(overlay)), tmp_path / "load")
    assert result.judgement.verdict is Verdict.FAIL
    most, _ = unexplained_errors(result).most_common(1)[0]
    assert most.startswith(SENT_AWAY_IN_FLIGHT + BROWNED_OUT), unexplained_errors(result)


@pytest.mark.parametrize("wrong", [{"side": Side.HUB}, {"url": "http://127.0.0.1:1"}, {"checked": False}])
def test_only_a_stack_of_the_loads_own_has_brown_outs(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="brown-outs"):
        moving(**wrong)


Watched = tuple[Fleet, Deployment, asyncio.Task[None]]


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    """A fleet of two, and what watches over it."""
    async with Processes(tmp_path) as processes:
        valkey = await asyncio.to_thread(start_valkey, processes)
        deployment = await Deployment.astart(processes, Setup(), valkey)
        fleet = Fleet(deployment, processes)
        launches = deployment.crew_launches([Crew(services=("*",))], 2, tmp_path / "journal")
        await fleet.start(launches, environment={}, journal=tmp_path / "journal")
        watch = asyncio.create_task(fleet.watch())
        yield fleet, deployment, watch
        watch.cancel()


async def test_a_fleet_notices_an_exit_and_replaces_the_worker(watched: Watched) -> None:
    fleet, deployment, watch = watched
    victim = deployment.workers[0]
    first = victim.pid
    subprocess.run(["kill", "-9", str(first)], check=True)
    await until(lambda: bool(fleet.exits))
    assert (fleet.exits[0].worker, fleet.exits[0].ours, fleet.exits[0].status) == ("worker-1", False, -9)
    await until(lambda: victim.alive and victim.pid != first)
    writer = HistoryWriter()
    async with Waves(deployment.workers, writer, seed=3, share=0.5, waves=1, every_s=0.1, down_s=0.1) as killing:
        await killing.done()
    watch.cancel()
    own, killed = fleet.result(writer.events).exits
    assert (own.ours, killed.ours) == (False, True)
    assert (killed.back_after_s or 0) >= 0.1


async def test_a_fleet_watches_on_when_a_worker_is_struck_while_it_comes_back(watched: Watched) -> None:
    _, deployment, watch = watched
    struck, other = deployment.workers
    first, second = struck.pid, other.pid
    subprocess.run(["kill", "-9", str(first)], check=True)
    await until(lambda: struck.alive and struck.pid != first)
    struck.kill()
    subprocess.run(["kill", "-9", str(second)], check=True)
    await until(lambda: other.alive and other.pid != second)
    assert not watch.done()


def test_the_command_line_answers_with_json_and_a_status(tmp_path: Path) -> None:
    done = _command("--rate", "10", "--duration", "2", "--users", "6", "--fleet", "2", "--json", "--out", str(tmp_path))
    answer = json.loads(done.stdout)
    assert answer["judgement"]["verdict"] in ("pass", "inconclusive")
    assert done.returncode == {"pass": 0, "inconclusive": 3}[answer["judgement"]["verdict"]]
    assert answer["swarm"]["jobs"]["outcomes"]["completed"] == 20
    assert "submit to claimed" in done.stderr


def test_what_cannot_be_run_is_one_sentence_and_status_3(tmp_path: Path) -> None:
    done = _command("--candidate", "http://127.0.0.1:9", "--fleet", "0", "--out", str(tmp_path))
    assert (done.returncode, done.stdout) == (3, "")
    assert "nothing answers at http://127.0.0.1:9" in " ".join(done.stderr.split())
    elsewhere = _command("--candidate", "http://192.0.2.1:80", "--out", str(tmp_path))
    assert elsewhere.returncode == 3
    assert "not on this machine" in " ".join(elsewhere.stderr.split())


def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hubgate", "load", "--rate", "5", "--duration", "60", "--fleet", "2"]
    process = subprocess.Popen([*command, "--out", str(tmp_path)], stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 40
    while not (tmp_path / "live.jsonl").exists():
        assert time.monotonic() < limit
        time.sleep(0.1)
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 5, "Valkey, the API, two workers and Locust"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=70)  # workers may have to see a long job off
    assert process.returncode == 130
    assert "hubgate: stopped" in said
    assert not [child for child in below if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_a_wrong_option_is_status_2(tmp_path: Path) -> None:
    done = _command("--limit", "speed=1", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "claim-seen" in done.stderr


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hubgate", "load", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
