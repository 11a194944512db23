"""The users in real Locust processes against a small server whose truth is known."""

from __future__ import annotations

import sys
import time
from csv import DictReader
from pathlib import Path

import psutil
import pytest

from harness.load.latencies import Metric
from harness.load.ledger import Complaint, Outcome
from harness.protocols import EventKind
from tests.loadtests.servers import Script, Server, serving
from tests.loadtests.swarms import generators, history, locust, running, swarm

FOUR_USERS = ("--shape", "steady", "--rate", "25", "--duration", "2", "--legacy-users", "2", "--sse-users", "2")


def test_both_kinds_of_users_and_monitors_see_every_job_through(tmp_path: Path) -> None:
    with serving() as (host, server):
        monitors = ("--monitor-users", "1", "--sse-monitor-users", "1", "--csv", str(tmp_path / "locust"))
        result = swarm(host, tmp_path, *FOUR_USERS, *monitors)
    assert (
        result.jobs.submitted == result.jobs.outcomes[Outcome.COMPLETED] == server.submitted == result.plan.jobs == 50
    )
    assert result.jobs.balanced
    assert not result.errors
    assert list(result.watched.values()) == [50, 50]
    assert result.users == {"LegacyWebSocketUser": 2, "ModernSseUser": 2, "MonitorUser": 1, "SseMonitorUser": 1}
    for metric in set(Metric) - {Metric.PROGRESS_WATCHED}:
        assert set(result.latencies[metric].by_transport) == {"websocket", "sse"}
    assert result.latencies[Metric.PROGRESS_SEEN].overall.count == 150
    assert result.latencies[Metric.PROGRESS_WATCHED].overall.count == 300
    assert_seen(tmp_path)
    rounded = {(row["Name"], row["Type"]): row for row in DictReader((tmp_path / "locust_stats.csv").open())}
    for metric, found in result.latencies.items():
        for transport, exact in found.by_transport.items():
            by_locust = rounded[metric, transport]
            assert int(by_locust["Request Count"]) == exact.count
            assert float(by_locust["99%"]) == pytest.approx(exact.at(99), rel=0.05, abs=1), "rounded, not exact"
    # the server claims 20 ms after the submission and works for 60 ms more
    assert result.latencies[Metric.CLAIMED].overall.at(0) >= 18
    assert result.latencies[Metric.ENDED].overall.at(0) >= 78
    assert sum(window.count for window in result.latencies[Metric.ENDED].over_time) == 50
    assert (
        sum(flow.ended for flow in result.over_time),
        result.over_time[-1].waiting,
        result.over_time[-1].running,
    ) == (50, 0, 0)


def assert_seen(out: Path) -> None:
    """The history has what the clients saw."""
    jobs = history(out).jobs
    assert len(jobs) == 50
    for job in jobs.values():
        seen = [event.of for event in job.events if event.kind is EventKind.DELIVERED]
        assert [kind for kind in seen if kind is not EventKind.SUBMITTED] == [
            EventKind.CLAIMED,
            EventKind.PROGRESS,
            EventKind.PROGRESS,
            EventKind.PROGRESS,
            EventKind.COMPLETED,
        ]
        assert [event.kind for event in job.events if event.kind is not EventKind.DELIVERED] == [
            EventKind.SUBMIT,
            EventKind.ACCEPTED,
            EventKind.SUBSCRIBED,
        ]
        assert job.submit is not None
        assert job.submit.steps == (10.0, 55.0, 100.0)


def test_a_stall_is_charged_to_every_arrival_it_kept_waiting(tmp_path: Path) -> None:
    """No coordinated omission: half a second of silence shows in a quarter of the arrivals, not in one per user."""
    script = Script()
    script.stall = (0.5, 1.0)
    with serving(script) as (host, _):
        result = swarm(host, tmp_path, *FOUR_USERS)
    accepted = result.latencies[Metric.ACCEPTED].overall
    assert accepted.count == 50
    assert accepted.at(100) > 400
    assert accepted.at(90) > 200, "12 of 50 arrivals fell into the stall"


def test_progress_is_timed_from_the_workers_own_clock(tmp_path: Path) -> None:
    script = Script()
    script.tell_after = 0.1
    with serving(script) as (host, _):
        result = swarm(host, tmp_path, *FOUR_USERS)
    assert result.latencies[Metric.PROGRESS_SEEN].overall.at(0) >= 99


def test_jobs_that_vanish_are_lost_and_named(tmp_path: Path) -> None:
    script = Script()
    script.forget_every = 10
    with serving(script) as (host, _):
        result = swarm(host, tmp_path, *FOUR_USERS, "--drain", "2")
    assert result.jobs.outcomes[Outcome.LOST] == len(result.jobs.named[Outcome.LOST]) == 5
    assert result.jobs.outcomes[Outcome.COMPLETED] == 45


def test_refusals_are_errors_by_kind(tmp_path: Path) -> None:
    script = Script()
    script.refuse_every = 5
    with serving(script) as (host, _):
        result = swarm(host, tmp_path, *FOUR_USERS)
    assert result.jobs.outcomes[Outcome.REFUSED] == 10
    assert sum(result.errors.values()) == 10
    assert set(result.errors) == {"no room for job <id>", "HTTP 503 no room for job <id>"}


def test_an_end_told_twice_is_an_error(tmp_path: Path) -> None:
    script = Script()
    script.end_twice = True
    with serving(script) as (host, _):
        result = swarm(host, tmp_path, *FOUR_USERS, "--sse-users", "0")
    assert result.errors[Complaint.ENDED_TWICE] == 50


def test_a_broken_stream_is_resumed_from_its_last_event(tmp_path: Path) -> None:
    script = Script()
    script.cut_streams_after = 3
    with serving(script) as (host, server):
        result = swarm(host, tmp_path, *FOUR_USERS, "--legacy-users", "0")
    assert result.jobs.outcomes[Outcome.COMPLETED] == 50
    assert server.resumed_from == ["3"] * 50
    assert result.latencies[Metric.PROGRESS_SEEN].overall.count == 150


def test_a_client_that_lost_its_connection_asks_for_what_it_missed(tmp_path: Path) -> None:
    """The server, like the hub, tells a client nothing more of jobs it submitted over another connection."""
    script = Script()
    script.cut_sockets_after = 2.0
    script.step_every = 0.3
    with serving(script) as (host, server):
        result = swarm(host, tmp_path, *FOUR_USERS, "--sse-users", "0", "--drain", "2")
    assert server.connections == 4
    assert result.errors.pop("connection lost: Connection to remote host was lost.") == 2
    assert not result.errors
    outcomes = result.jobs.outcomes
    assert outcomes[Outcome.COMPLETED] + outcomes[Outcome.END_UNSEEN] == result.jobs.acknowledged
    assert result.jobs.acknowledged + outcomes[Outcome.UNANSWERED] == 50, "a submission may go down with the connection"
    assert outcomes[Outcome.END_UNSEEN] >= 1, "what was under way when the connection broke, and still when it was back"
    assert outcomes[Outcome.COMPLETED] >= 5, "what was submitted over the new connection"


def test_a_migration_moves_hybrid_users_over_and_back(tmp_path: Path) -> None:
    with serving() as (host, server):
        result = swarm(host, tmp_path, "--shape", "migration", "--rate", "20", "--duration", "4", "--hybrid-users", "8")
        events = history(tmp_path).events
    assert result.jobs.outcomes[Outcome.COMPLETED] == 80
    submits = [(event.at_ms, event.by.endswith("-old")) for event in events if event.kind is EventKind.SUBMIT]
    start = submits[0][0]
    shares = [
        [old for at, old in submits if low <= (at - start) / 4000 < high]
        for low, high in ((0, 0.1), (0.46, 0.54), (0.92, 1.0))
    ]
    assert [sum(share) / len(share) for share in shares] == [1, 0, 1]
    assert server.connections > 8, "who came back to the old protocol connected again"


def test_the_number_of_users_and_the_server_are_locusts_own_options() -> None:
    with serving() as (host, server):
        four = ("-u", "4", "-r", "4", "--rate", "20", "LegacyWebSocketUser")
        done = locust("--host", host, *four, enough=lambda: server.connections == 4 and server.submitted >= 20)
    assert done.returncode == 0, done.stderr
    assert "submit to claimed" in done.stderr + done.stdout
    assert server.connections == 4


def test_a_wrong_option_is_one_sentence_and_status_2() -> None:
    done = locust("--host", "http://127.0.0.1:1", "--job", "{")
    assert done.returncode == 2
    assert "--job is no job" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("workers", [2])
def test_distributed_figures_are_those_of_one_process(tmp_path: Path, workers: int) -> None:
    with serving() as (host, server):
        result = swarm(host, tmp_path, *FOUR_USERS, "--monitor-users", "1", *generators(workers))
    assert result.generators == workers
    assert server.submitted == result.jobs.submitted == result.plan.jobs
    assert result.jobs.outcomes[Outcome.COMPLETED] == 50
    assert result.jobs.balanced
    assert result.latencies[Metric.ENDED].overall.count == 50
    assert result.latencies[Metric.PROGRESS_SEEN].overall.count == 150
    assert sum(window.submitted for window in result.over_time) == 50
    assert len(list(tmp_path.glob("history-*.jsonl"))) == workers


HURRIED_FILE = """
import locust.runners
from locust import events
from loadtests import users
from loadtests.locust_plugin import install

locust.runners.HEARTBEAT_INTERVAL = 0.3


class LegacyWebSocketUser(users.LegacyWebSocketUser):
    weight = 1


install(events)
"""


def test_generators_that_the_machine_does_not_let_run_for_a_while_go_on_with_the_load(tmp_path: Path) -> None:
    """Locust's master gives up a generator after three heartbeats, and the load with the last of them."""
    locustfile = tmp_path / "locustfile.py"
    locustfile.write_text(HURRIED_FILE)
    plan = ("--shape", "steady", "--rate", "25", "--duration", "2", "--drain", "30", "--legacy-users", "2")
    told = ("--headless", "--load-out", str(tmp_path), *generators(2), *plan)
    with serving() as (host, server):
        command = (sys.executable, "-m", "locust", "-f", str(locustfile), "--host", host, *told)
        with running(*command) as master:
            while server.submitted < 5:
                assert master.poll() is None
                time.sleep(0.01)
            below = psutil.Process(master.pid).children()
            for generator in below:
                generator.suspend()
            time.sleep(2)  # six heartbeats
            for generator in below:
                generator.resume()
            _, said = master.communicate(timeout=60)
    assert len(below) == 2
    assert server.submitted == 50, said


STRANGERS_FILE = """
from locust import between, task
from loadtests.users import LegacyWebSocketUser, ModernSseUser, constant_arrivals


class Ported(ModernSseUser):
    wait_time = between(0.1, 0.2)


class Old(LegacyWebSocketUser):
    wait_time = constant_arrivals(10)

    @task
    def twice(self) -> None:
        self.submit()
"""


CONSTANT_FILE = """
from locust import events
from loadtests.locust_plugin import install
from loadtests.users import LegacyWebSocketUser, ModernSseUser, constant_arrivals


class Old(LegacyWebSocketUser):
    wait_time = constant_arrivals(5)
"""


@pytest.mark.parametrize("more", ["", "\ninstall(events)\n"], ids=["alone", "with the plug-in"])
def test_constant_arrivals_are_sent_at_their_rate_and_nothing_else_is(tmp_path: Path, more: str) -> None:
    """A class that a locustfile only imports is not run: the rate is that of the class that is defined in it."""
    locustfile = tmp_path / "locustfile.py"
    locustfile.write_text(CONSTANT_FILE + more)
    with serving() as (host, server):
        done = locust("--host", host, "-u", "2", "-r", "2", locustfile=locustfile, enough=lambda: is_sent_at_5(server))
    assert done.returncode == 0, done.stderr


def is_sent_at_5(server: Server) -> bool:
    """A second, over the two seconds and more that it lasts: what a busy machine delays evens out with time."""
    sent = server.submitted_at
    return len(sent) > 10 and (len(sent) - 1) / (sent[-1] - sent[0]) == pytest.approx(5, rel=0.1)


def test_the_users_work_in_somebody_elses_locustfile(tmp_path: Path) -> None:
    locustfile = tmp_path / "locustfile.py"
    locustfile.write_text(STRANGERS_FILE)
    with serving() as (host, server):
        done = locust("--host", host, "-u", "4", "-r", "4", locustfile=locustfile, enough=lambda: server.submitted > 20)
    assert done.returncode == 0, done.stderr
    assert "submit to ended" in done.stderr + done.stdout
