"""A recording as it would be with the order of work that a stack has chosen."""

from typing import Any

from harness.cassettes import Event, Open, Receive, Role, Send
from harness.cassettes.events import fields_of
from harness.cassettes.replay.causality import granted_claims, job_of, sent
from harness.cassettes.replay.order_of_work import Exchange, Schedule, followed, order_findings, without_crossings
from harness.parity import compare


class Story:
    """A recording of one client and two workers, made step by step."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        for actor, role in (("c", Role.CLIENT), ("a", Role.WORKER), ("b", Role.WORKER)):
            self.events.append(Open(at=self.at, actor=actor, role=role, path=f"/ws/{role}/{actor}"))

    @property
    def at(self) -> float:
        return float(len(self.events)) if self.events else 0.0

    def send(self, actor: str, kind: str, **fields: Any) -> None:
        self.events.append(Send(at=self.at, actor=actor, message={"type": kind, **fields}))

    def receive(self, actor: str, kind: str, **fields: Any) -> None:
        self.events.append(Receive(at=self.at, actor=actor, message={"type": kind, **fields}))

    def insert(self, place: int, actor: str, kind: str, **fields: Any) -> None:
        at = self.events[place - 1].at + 0.5
        self.events.insert(place, Receive(at=at, actor=actor, message={"type": kind, **fields}))

    def place_of(self, kind: str, job: str) -> int:
        return next(at for at, one in enumerate(self.events) if sent(one) == kind and job_of(one) == job)

    def submit(self, job: str, priority: int = 0) -> None:
        self.send("c", "submit_job", message_id=job, priority=priority)
        self.receive("c", "job_accepted", job_id=job, position=1)

    def claim(self, worker: str, job: str) -> None:
        self.send(worker, "claim_job", job_id=job, worker_id=worker)
        self.receive(worker, "job_assigned", job_id=job, worker_id=worker)
        self.receive("c", "response_job_status", job_id=job, status="processing", worker_id=worker)

    def end(self, worker: str, job: str, kind: str = "complete_job") -> None:
        self.send(worker, kind, job_id=job, worker_id=worker)
        self.receive("c", kind, job_id=job, worker_id=worker)
        self.receive(worker, "job_completed_ack" if kind == "complete_job" else "job_failed_ack", job_id=job)

    def run(self, worker: str, job: str, kind: str = "complete_job") -> None:
        self.claim(worker, job)
        self.end(worker, job, kind)


def two_jobs(first: int = 0, second: int = 0) -> Story:
    story = Story()
    story.submit("one", first)
    story.submit("two", second)
    story.run("a", "one")
    story.run("b", "two")
    return story


def claims(events: tuple[Event, ...]) -> list[tuple[str, str | None]]:
    return [(event.actor, job_of(event)) for event in events if sent(event) == "claim_job"]


def exchange(story: Story, number: int, given: str) -> Exchange:
    schedule = Schedule(story.events)
    return schedule.exchange_at([turn.claim for turn in schedule.turns][number], given)


def test_two_jobs_change_places_and_workers_with_all_that_they_cause() -> None:
    story = two_jobs(second=5)
    changed = followed(story.events, [exchange(story, 0, "two")])
    assert claims(changed) == [("a", "two"), ("b", "one")]
    told_to_client = [(job_of(one), fields_of(one).get("worker_id")) for one in changed if one.actor == "c"][5:]
    assert told_to_client == [("two", "a"), ("two", "a"), ("one", "b"), ("one", "b")]
    assert sorted(event.at for event in changed) == [event.at for event in changed]
    assert len(changed) == len(story.events)


def test_a_job_that_ranks_first_may_come_first_and_one_that_does_not_breaks_a_promise() -> None:
    assert not exchange(two_jobs(second=5), 0, "two").promised
    assert exchange(two_jobs(), 0, "two").promised, "of equal priority the older one comes first"
    assert exchange(two_jobs(first=5), 0, "two").promised


def test_when_the_next_attempt_is_due_was_never_promised_but_the_order_of_the_others_was() -> None:
    story = Story()
    for job in ("one", "two", "three"):
        story.submit(job)
    story.run("a", "one", "fail_job")
    story.run("b", "one")
    story.run("b", "two")
    story.run("a", "three")
    assert not exchange(story, 1, "two").promised
    assert exchange(story, 1, "three").promised, "that one has failed excuses no other order for ever"


def test_only_what_the_worker_serves_ranks_before_another_job() -> None:
    story = Story()
    story.send("a", "register_worker", capabilities={"supported_job_types": ["image"]})
    for job, service in (("one", "image"), ("two", "text"), ("three", "image")):
        story.send("c", "submit_job", message_id=job, job_type=service)
        story.receive("c", "job_accepted", job_id=job)
    story.run("a", "one", "fail_job")
    story.run("b", "one")
    story.run("a", "three")
    story.run("b", "two")
    schedule = Schedule(story.events)
    again = schedule.turns[0].claim
    assert schedule.exchange_at(again, "three").promised, "`one` waits for its first attempt"
    assert not schedule.exchange_at(schedule.turns[2].claim, "three").promised


def test_places_and_figures_are_compared_while_the_queue_stands_as_in_the_recording() -> None:
    story = two_jobs(second=5)
    story.insert(story.place_of("complete_job", "one") + 3, "c", "stats_broadcast", system={"jobs": 1})
    story.submit("three")
    story.receive("c", "stats_broadcast", system={"jobs": 3})
    changed = followed(story.events, [exchange(story, 0, "two")])
    shown = [fields_of(one).get("system") for one in changed if fields_of(one).get("type") == "stats_broadcast"]
    assert shown == [None, {"jobs": 3}]
    assert [fields_of(one).get("position") for one in changed if fields_of(one).get("type") == "job_accepted"] == [
        1,
        1,
        1,
    ]


def test_the_attempts_of_a_job_keep_their_order() -> None:
    story = Story()
    story.submit("one")
    story.submit("two", priority=1)
    story.run("a", "one", "fail_job")
    story.run("b", "one")
    story.run("a", "two")
    changed = followed(story.events, [exchange(story, 0, "two")])
    assert [job for _, job in claims(changed)] == ["two", "one", "one"]
    ends = [sent(event) for event in changed if sent(event) in {"fail_job", "complete_job"}]
    assert ends == ["complete_job", "fail_job", "complete_job"]


def test_what_a_worker_has_failed_is_handed_to_the_other_one() -> None:
    story = Story()
    story.submit("one")
    story.run("a", "one", "fail_job")
    story.run("a", "one")
    schedule = Schedule(story.events)
    handed = schedule.hand_over_at(schedule.turns[1].claim)
    assert handed is not None
    assert handed.handed_to == "b"
    assert claims(followed(story.events, [handed])) == [("a", "one"), ("b", "one")]
    assert schedule.hand_over_at(schedule.turns[0].claim) is None


def test_no_order_of_work_gives_a_worker_a_job_of_a_type_that_it_does_not_list() -> None:
    story = Story()
    for worker, listed in (("a", ["draw"]), ("b", ["caption", "draw"])):
        story.send(worker, "register_worker", capabilities={"supported_job_types": listed})
    for job, kind in (("caption-1", "caption"), ("draw-1", "draw"), ("draw-2", "draw")):
        story.receive("a", "job_available", job_id=job, job_type=kind)
    story.run("a", "draw-2")
    story.run("b", "draw-1")
    story.run("b", "caption-1")
    schedule = Schedule(story.events)
    ones = {given: schedule.exchange_at(schedule.turns[0].claim, given) for given in ("caption-1", "draw-1")}
    assert {given: one.promised for given, one in ones.items()} == {"caption-1": True, "draw-1": False}
    [(finding, _)] = order_findings([ones["caption-1"]])
    assert finding.field == "job_id"


def test_a_job_that_is_given_to_two_at_once_is_no_order_of_work() -> None:
    story = Story()
    story.submit("one")
    story.claim("a", "one")
    story.send("b", "claim_job", job_id="one", worker_id="b")
    story.receive("b", "error", error="Failed to claim job one")
    story.end("a", "one", "fail_job")
    story.run("b", "one")
    schedule = Schedule(story.events)
    refused = next(at for at, one in enumerate(story.events) if one.actor == "b" and sent(one) == "claim_job")
    assert schedule.with_exchange(schedule.exchange_at(refused, "one")) is None
    assert not schedule.is_refused_with_work_left(refused)


def test_a_refused_claim_is_not_made_where_a_stack_would_give_another_job() -> None:
    story = Story()
    for job in ("one", "two"):
        story.submit(job)
    story.claim("a", "one")
    story.send("b", "claim_job", job_id="one", worker_id="b")
    story.receive("b", "error", error="Failed to claim job one")
    assert Schedule(story.events).is_refused_with_work_left(len(story.events) - 2)


def test_several_claims_are_answered_in_their_order() -> None:
    story = Story()
    for job in ("one", "one", "two"):
        story.send("a", "claim_job", job_id=job)
    story.receive("a", "error", error="Failed to claim job one")
    story.receive("a", "job_assigned", job_id="two")
    story.receive("a", "error", error="Cannot claim job one: Worker a is not idle")
    assert granted_claims(story.events) == {5}


def test_a_place_in_the_queue_is_unsure_where_a_claim_was_under_way() -> None:
    story = Story()
    story.submit("one")
    story.send("c", "submit_job", message_id="two")
    story.send("a", "claim_job", job_id="one")
    story.receive("c", "job_accepted", job_id="two", position=2)
    story.receive("a", "job_assigned", job_id="one")
    story.submit("three")
    accepted = [
        fields_of(one) for one in without_crossings(story.events) if fields_of(one).get("type") == "job_accepted"
    ]
    assert [one.get("position") for one in accepted] == [1, None, 1]


def test_how_often_a_job_is_offered_until_it_is_taken_is_no_difference() -> None:
    def offered(*jobs: str) -> list[Event]:
        story = Story()
        for job in jobs:
            story.receive("a", "job_available", job_id=job)
        story.claim("a", jobs[-1])
        story.receive("a", "job_available", job_id=jobs[-1])
        return story.events

    once = offered("one")
    assert compare(once, offered("one", "one")) == []
    assert len(compare(once, once[:-1])) == 1, "again after it was given is another offer"
    assert compare(once, offered("two", "one")) != []


def test_another_order_is_told_once_and_a_broken_promise_as_a_difference() -> None:
    free = Exchange(worker="a", claim=0, wanted="one", given="two")
    handed = Exchange(worker="a", claim=1, wanted="one", given="", handed_to="b")
    broken = Exchange(worker="b", claim=0, wanted="one", given="two", promised=True)
    found = [finding for finding, _ in order_findings([free, handed, free, broken])]
    assert [(finding.kind.value, finding.field, finding.times) for finding in found] == [
        ("reordered", "order", 2),
        ("reordered", "order", 1),
        ("changed", "job_id", 1),
    ]
    assert order_findings([]) == []
