"""The parts of a shadow, each by itself: who is drawn, what is a matter of time, which job is which, what is told."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cassettes import Event, Open, Receive, Response, Role, Send
from harness.errors import CouldNotRun
from harness.parity import parity_of
from harness.parity.deviations import Deviations
from harness.processes import free_port
from harness.results import Verdict
from harness.shadow.ledger import FILE_NAME, Ledger
from harness.shadow.page import serve_page
from harness.shadow.report import run_of
from harness.shadow.tap import LEFT_OUT, Tap, is_drawn
from harness.shadow.timing import alike, is_behind, marked
from harness.shadow.topic import OVERTAKEN_MS, QUIET_MS, Topic
from harness.shadow.traffic import Lost, Message, Opened, PassedBy, Rules, Sent, Settings
from harness.shadow.world import KnownJobs
from tests.browser import PATH, browser

OPENED = Open(at=0, actor="c", role=Role.CLIENT, path="/ws/client/c")
PATIENCE_MS = 20_000.0


def told(**fields: object) -> Receive:
    return Receive(at=10, actor="c", message={"job_id": "j", **fields})


def status(state: str, **fields: object) -> Receive:
    return told(type="response_job_status", status=state, **fields)


def cancels() -> Send:
    return Send(at=10, actor="c", message={"type": "cancel_job", "job_id": "j"})


ACCEPTED = told(type="job_accepted", status="pending", position=1)
COMPLETED = told(type="complete_job", worker_id="w", result={})
PROGRESS = told(type="update_job_progress", worker_id="w", progress=30, status="processing")


def unexcused(expected: Sequence[Event], observed: Sequence[Event]) -> list[str]:
    left, right = [[OPENED, *map(alike, events)] for events in (expected, observed)]
    return [one.sentence for one in marked(parity_of(left, right), left, right) if not one.excused]


# who is drawn
@settings(deadline=None)
@given(st.text(), st.floats(0, 1))
def test_a_client_is_drawn_always_or_never(client: str, sample: float) -> None:
    assert is_drawn(client, sample) is is_drawn(client, sample)
    assert is_drawn(client, 1.0)
    assert not is_drawn(client, 0.0)
    assert not is_drawn(client, sample) or is_drawn(client, min(1.0, sample * 2)), "a larger sample holds a smaller one"


def test_a_tenth_of_the_clients_is_about_a_tenth() -> None:
    assert 900 < sum(is_drawn(f"client-{number}", 0.1) for number in range(10_000)) < 1_100


# what is a matter of time
def test_workers_and_places_in_the_queue_are_each_sides_own() -> None:
    theirs = [
        told(type="job_accepted", status="pending", position=7),
        *[told(**COMPLETED.content | {"worker_id": "x"})],
    ]
    assert unexcused([ACCEPTED, COMPLETED], theirs) == []
    no_worker = told(**COMPLETED.content | {"worker_id": None})
    assert len(unexcused([COMPLETED], [no_worker])) == 1, "that there is one is no matter of chance"
    own = told(**COMPLETED.content | {"result": {"worker_id": "x"}})
    assert len(unexcused([told(**COMPLETED.content | {"result": {"worker_id": "w"}})], [own])) == 1


@pytest.mark.parametrize(
    ("hub", "stack", "is_found"),
    [
        ("pending", "claimed", False),
        ("claimed", "completed", False),
        ("completed", "claimed", True),
        ("completed", "failed", True),
        ("failed", "completed", True),
    ],
)
def test_an_answer_about_a_job_may_be_ahead_but_its_end_is_one(hub: str, stack: str, *, is_found: bool) -> None:
    assert bool(unexcused([status(hub)], [status(stack)])) is is_found
    ours, theirs = [
        Response(at=1, actor="http", status=200, body={"job_id": "j", "status": one}) for one in (hub, stack)
    ]
    assert bool(unexcused([ours], [theirs])) is is_found
    assert is_behind(ours, theirs) is ((hub, stack) == ("completed", "claimed"))


def test_how_far_a_job_was_when_it_was_cancelled_is_chance_but_not_that_it_was() -> None:
    cancelled = status("cancelled", message="Job cancelled: x")
    assert unexcused([ACCEPTED, cancelled], [ACCEPTED, PROGRESS, cancelled]) == []
    assert unexcused([ACCEPTED, PROGRESS, cancelled], [ACCEPTED, PROGRESS]) != []
    assert unexcused([ACCEPTED, COMPLETED], [ACCEPTED, PROGRESS, COMPLETED]) != []


# one job on one connection
def topic(*hub: Event, candidate: tuple[Event, ...] = ()) -> Topic:
    made = Topic(Rules().redaction(), 0.0, "j")
    for event in hub:
        made.hub_told(event)
    for event in candidate:
        made.candidate_told(event)
    return made


def test_a_job_is_compared_once_it_has_ended_and_both_sides_are_silent() -> None:
    both = topic(ACCEPTED, COMPLETED, candidate=(ACCEPTED, COMPLETED))
    assert not both.is_due(10 + QUIET_MS / 2, PATIENCE_MS)
    assert both.is_due(11 + QUIET_MS, PATIENCE_MS)
    assert not topic(ACCEPTED, candidate=(ACCEPTED,)).is_due(1e9, PATIENCE_MS), "it may take as long as it will"


def test_a_candidate_that_is_behind_is_waited_for_and_not_for_ever() -> None:
    behind = topic(ACCEPTED, COMPLETED, candidate=(ACCEPTED,))
    assert not behind.is_due(PATIENCE_MS, PATIENCE_MS)
    assert behind.is_due(11 + PATIENCE_MS, PATIENCE_MS)
    cancelled = status("cancelled", message="Job cancelled: x")
    unanswered = topic(ACCEPTED, cancels(), cancelled, cancelled, candidate=(ACCEPTED, PROGRESS, COMPLETED, cancels()))
    assert not unanswered.is_due(PATIENCE_MS, PATIENCE_MS), "as many frames, but not the answer"
    assert unanswered.is_due(11 + PATIENCE_MS, PATIENCE_MS)


def test_what_comes_after_a_client_has_left_in_the_middle_is_not_looked_at() -> None:
    cut = topic(ACCEPTED, candidate=(ACCEPTED, PROGRESS, COMPLETED))
    cut.is_over = True
    assert cut.is_due(10, PATIENCE_MS)
    expected, observed = cut.transcripts(OPENED)
    assert expected == observed == [OPENED, ACCEPTED]


def test_a_job_that_ended_while_its_cancel_was_on_the_way_proves_nothing() -> None:
    cancelled, refused = (
        status("cancelled", message="Job cancelled: x"),
        told(type="error", error="Failed to cancel job j."),
    )
    assert topic(ACCEPTED, cancels(), cancelled, candidate=(ACCEPTED, COMPLETED, cancels(), refused)).has_crossed()
    never = topic(ACCEPTED, cancels(), cancelled, candidate=(ACCEPTED, cancels(), COMPLETED))
    assert not never.has_crossed(), "a stack that does not cancel is found"
    overtaken = topic(ACCEPTED, cancels(), cancelled, candidate=(ACCEPTED, cancels(), refused, COMPLETED))
    assert overtaken.has_crossed()
    later = Receive(at=10 + 2 * OVERTAKEN_MS, actor="c", message=COMPLETED.content)
    refuses = topic(ACCEPTED, cancels(), cancelled, candidate=(ACCEPTED, cancels(), refused, later))
    assert not refuses.has_crossed(), "a stack that refuses to cancel is found"


def test_the_work_that_a_hub_tells_of_a_cancelled_job_is_left_out() -> None:
    cancelled = status("cancelled", message="Job cancelled: x")
    expected, _ = topic(ACCEPTED, cancels(), cancelled, PROGRESS, COMPLETED).transcripts(OPENED)
    assert expected[-1] == cancelled


async def test_ids_are_known_both_ways_and_the_oldest_are_forgotten() -> None:
    jobs = KnownJobs(most=2)
    jobs.expect("a")
    assert await jobs.candidate_id_of("a", 0.01) is None
    jobs.bind("a", "x")
    assert (await jobs.candidate_id_of("a", 0.01), jobs.hub_id_of("x")) == ("x", "a")
    jobs.bind("b", "y")
    jobs.bind("c", "z")
    assert "a" not in jobs
    assert jobs.hub_id_of("x") is None
    assert await jobs.candidate_id_of("nobody's", 0.01) is None


# what is told in the end
def ledger(folder: Path) -> Ledger:
    made = Ledger(folder, Deviations())
    made.begin("http://hub", "http://stack", 0.5)
    return made


def test_a_report_adds_up_what_several_followers_have_written(tmp_path: Path) -> None:
    for client in ("a", "b"):
        one = ledger(tmp_path)
        for _ in range(5):
            one.compare(client, [OPENED, ACCEPTED, COMPLETED], [OPENED, ACCEPTED], is_job=True)
        one.compare(client, [OPENED, ACCEPTED], [OPENED, ACCEPTED], is_job=True)
        one.close()
    with (tmp_path / FILE_NAME).open("a") as file:
        file.write('{"type": "coun')  # killed while it wrote
    run = run_of(tmp_path, command=("hubgate", "shadow"), least_jobs=12)
    assert run.verdict is Verdict.FAIL
    assert run.headline == "Clients would have noticed the stack: 1 cause, in 10 of 12 comparisons."
    assert "10 times, for 2 clients: c never got complete_job." in run.criteria[0].explanation
    assert sum(finding.times for finding in run.matrix[0].cells[0].causes) == 10
    written = (tmp_path / FILE_NAME).read_text()
    assert written.count('"example"') == 6, "only the first of a cause are written whole"
    assert run.problems == ()


@pytest.mark.parametrize(
    ("compared", "lost", "verdict"),
    [(12, 0, Verdict.PASS), (11, 0, Verdict.INCONCLUSIVE), (12, 5, Verdict.INCONCLUSIVE)],
)
def test_with_too_little_it_is_inconclusive(tmp_path: Path, compared: int, lost: int, verdict: Verdict) -> None:
    one = ledger(tmp_path)
    for _ in range(compared):
        one.compare("a", [OPENED, ACCEPTED], [OPENED, ACCEPTED], is_job=True)
    one.not_compared("the candidate could not be reached", lost)
    one.close()
    assert run_of(tmp_path, command=(), least_jobs=12).verdict is verdict


def test_a_declared_difference_counts_in_a_shadow(tmp_path: Path) -> None:
    file = tmp_path / "deviations.toml"
    entry = {
        "name": "n",
        "scenario": "shadow",
        "role": "client",
        "message": "complete_job",
        "reason": "r",
        "owner": "o",
    }
    lines = [f'{name} = "{value}"' for name, value in entry.items()]
    lines += ['hub = "(sent)"', 'stack = "(not sent)"', 'where = { type = "complete_job" }']
    file.write_text("\n".join(["[[deviation]]", *lines, f"expires = {dt.datetime.now(dt.UTC).date()}"]))
    one = Ledger(tmp_path, Deviations.load(file))
    one.begin("http://hub", "http://stack", 1.0)
    one.compare("a", [OPENED, ACCEPTED, COMPLETED], [OPENED, ACCEPTED], is_job=True)
    one.close()
    run = run_of(tmp_path, command=(), least_jobs=1)
    assert run.verdict is Verdict.PASS
    assert one.sums.counts["declared"] == {"n": 1}


def test_a_file_that_is_no_shadows_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("nonsense\n")
    with pytest.raises(CouldNotRun, match=f"{FILE_NAME}:1: "):
        run_of(tmp_path, command=())
    (tmp_path / FILE_NAME).write_text("")
    with pytest.raises(CouldNotRun, match="does not say what was compared"):
        run_of(tmp_path, command=())


# what the follower is told, and what it is not
class Narrow:
    """An outlet that takes messages while it is open."""

    def __init__(self) -> None:
        self.is_open = True
        self.taken: list[Message] = []

    def put(self, message: Message) -> bool:
        self.taken += [message] * self.is_open
        return self.is_open


def test_what_the_follower_does_not_take_ends_what_it_is_told_of_that_connection() -> None:
    outlet = Narrow()
    tap = Tap(1.0, outlet, began=0.0)
    first, second = [tap.socket(make_mocked_request("GET", f"/ws/client/{name}")) for name in "ab"]
    first.sent("1")
    outlet.is_open = False
    first.received("2")
    outlet.is_open = True
    first.sent("3")
    first.closed(1000)
    second.sent("4")
    assert [type(message) for message in outlet.taken] == [Opened, Opened, Sent, Lost, Sent]
    assert outlet.taken[3].number == outlet.taken[0].number != outlet.taken[4].number


async def test_workers_and_monitors_are_told_apart_by_path_and_by_query() -> None:
    outlet = Narrow()
    tap = Tap(1.0, outlet, began=0.0)
    for path in ("/ws/worker/w", "/?type=worker&id=w", "/ws/monitor/m", "/?type=monitor&id=m"):
        tap.socket(make_mocked_request("GET", path)).sent("hello")
    tap.tell_counts()
    assert outlet.taken == [PassedBy(0, outlet.taken[0].at, {LEFT_OUT[Role.WORKER]: 2, LEFT_OUT[Role.MONITOR]: 2})]


@pytest.mark.skipif(PATH is None, reason="chromium is not installed: the live page was not tried in a browser")
async def test_the_live_page_counts_what_differs_by_cause(tmp_path: Path) -> None:
    one, page = ledger(tmp_path), ("127.0.0.1", free_port())
    settings = Settings(primary="http://hub", candidate="http://stack", out=tmp_path, began=0.0, sample=0.5, page=page)

    def look() -> tuple[str, str, str]:
        with browser() as tab:
            tab.call("Page.navigate", url=f"http://{page[0]}:{page[1]}/")
            tab.wait("document.body && /2 of 3 comparisons differ/.test(document.body.textContent)")
            assert not [complaint for complaint in tab.complaints if not complaint.startswith("asked the network")]
            parts = [f"document.getElementById('{part}').innerText" for part in ("about", "causes", "not_compared")]
            return tuple(tab.tell(part) for part in parts)

    one.compare("a", [OPENED, ACCEPTED], [OPENED, ACCEPTED], is_job=True)
    one.not_compared("the candidate could not be reached", 4)
    async with serve_page(settings, one):
        looking = asyncio.create_task(asyncio.to_thread(look))
        for _ in range(2):
            one.compare("<b>", [OPENED, ACCEPTED, COMPLETED], [OPENED, ACCEPTED], is_job=True)
        about, causes, lost = await looking
    assert about == "http://stack in the shadow of http://hub: 50 % of its clients, 3 jobs and 5 frames compared."
    assert causes.split("\t")[:3] == ["2", "1", "c never got complete_job."]
    assert lost == "4\tthe candidate could not be reached"
