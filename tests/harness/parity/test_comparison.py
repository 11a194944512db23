import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.cassettes import Cassette, Closed, Event, Open, Receive, Response, Role, Send, load
from harness.cassettes.timers import timer_frames
from harness.parity import FindingKind, compare
from harness.parity.findings import is_critical
from harness.parity.frames import EVERYTHING, frame_of
from tests.harness.parity.edited import CASSETTES, FOLDER, NAMES, edited, place_of, summary


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_the_same_as_itself(name: str) -> None:
    assert compare(CASSETTES[name].events, CASSETTES[name].events) == []
    assert compare(CASSETTES[name].events, CASSETTES[name].events, workers_by_facts=True) == []


def test_one_field_edited_is_one_changed_field(tmp_path: Path) -> None:
    def edit(events: list[dict[str, Any]]) -> None:
        events[place_of(events, "client-a", "update_job_progress", 1)]["message"]["progress"] = 51

    findings = compare(CASSETTES["happy-path"].events, edited("happy-path", edit, tmp_path))
    assert summary(findings) == [("changed", "client-a", "update_job_progress", "progress")]
    assert (findings[0].expected, findings[0].observed) == (50, 51)


def test_two_frames_exchanged_are_one_reordered_frame(tmp_path: Path) -> None:
    def edit(events: list[dict[str, Any]]) -> None:
        one, other = (place_of(events, "client-a", "update_job_progress", nth) for nth in (0, 1))
        events[one], events[other] = events[other], events[one]

    findings = compare(CASSETTES["happy-path"].events, edited("happy-path", edit, tmp_path))
    assert summary(findings) == [("reordered", "client-a", "update_job_progress", "order")]


def test_completion_before_the_last_progress_is_one_reordered_frame(tmp_path: Path) -> None:
    def edit(events: list[dict[str, Any]]) -> None:
        last, end = place_of(events, "client-a", "update_job_progress", 2), place_of(events, "client-a", "complete_job")
        events[last], events[end] = events[end], events[last]

    findings = compare(CASSETTES["happy-path"].events, edited("happy-path", edit, tmp_path))
    assert [finding.kind.value for finding in findings] == ["reordered"]


def test_one_frame_taken_out_is_one_missing_frame(tmp_path: Path) -> None:
    def edit(events: list[dict[str, Any]]) -> None:
        del events[place_of(events, "client-a", "update_job_progress", 1)]

    findings = compare(CASSETTES["happy-path"].events, edited("happy-path", edit, tmp_path))
    assert summary(findings) == [("missing", "client-a", "update_job_progress", "")]


def test_one_frame_twice_is_one_extra_frame(tmp_path: Path) -> None:
    def edit(events: list[dict[str, Any]]) -> None:
        place = place_of(events, "client-a", "complete_job")
        events.insert(place, copy.deepcopy(events[place]))

    findings = compare(CASSETTES["happy-path"].events, edited("happy-path", edit, tmp_path))
    assert summary(findings) == [("extra", "client-a", "complete_job", "")]
    assert is_critical(findings[0])


def test_another_word_for_a_message_is_one_changed_type(tmp_path: Path) -> None:
    def edit(events: list[dict[str, Any]]) -> None:
        events[place_of(events, "client-a", "job_accepted")]["message"]["type"] = "job_submitted"

    findings = compare(CASSETTES["happy-path"].events, edited("happy-path", edit, tmp_path))
    assert summary(findings) == [("changed", "client-a", "job_accepted", "type")]
    assert findings[0].sentence == 'client-a: the message is "job_submitted" where the reference has "job_accepted".'


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timestamp", 1795523554169),
        ("timestamp", "2026-11-24T20:00:00Z"),
        ("timestamp", "1795523554.16"),
        ("timestamp", None),
        ("position", "1"),
        ("position", True),
        ("estimated_start", 1795523554.5),
    ],
)
def test_a_value_of_another_kind_is_a_change(field: str, value: Any, tmp_path: Path) -> None:
    def edit(events: list[dict[str, Any]]) -> None:
        events[place_of(events, "client-a", "job_accepted")]["message"][field] = value

    findings = compare(CASSETTES["happy-path"].events, edited("happy-path", edit, tmp_path))
    assert summary(findings) == [("changed", "client-a", "job_accepted", field)]


def test_a_field_left_out_is_a_change_and_one_added_is_none_but_in_the_users_own_data(tmp_path: Path) -> None:
    def leave_out(events: list[dict[str, Any]]) -> None:
        del events[place_of(events, "client-a", "job_accepted")]["message"]["estimated_start"]

    def add(events: list[dict[str, Any]]) -> None:
        events[place_of(events, "client-a", "job_accepted")]["message"]["service_required"] = "simulation"

    def add_to_result(events: list[dict[str, Any]]) -> None:
        events[place_of(events, "client-a", "complete_job")]["message"]["result"]["seconds"] = 3

    happy = CASSETTES["happy-path"].events
    assert summary(compare(happy, edited("happy-path", leave_out, tmp_path)))[0][2:] == (
        "job_accepted",
        "estimated_start",
    )
    assert compare(happy, edited("happy-path", add, tmp_path)) == []
    assert summary(compare(happy, edited("happy-path", add_to_result, tmp_path)))[0][2:] == (
        "complete_job",
        "result.seconds",
    )


@pytest.mark.parametrize("name", ["happy-path", "submit-with-no-worker", "busy-worker-may-not-claim"])
def test_other_ids_are_bound_and_an_id_that_wanders_is_found(name: str, tmp_path: Path) -> None:
    text = (FOLDER / f"{name}.jsonl").read_text()
    old = next(
        event.content["job_id"]
        for event in CASSETTES[name].events
        if isinstance(event, Receive) and event.content["type"] == "job_accepted"
    )
    path = tmp_path / "other.jsonl"
    path.write_text(text.replace(old, "job-00000000-0000-4000-8000-000000000000"))
    assert compare(CASSETTES[name].events, load(path).events) == []

    def wander(events: list[dict[str, Any]]) -> None:
        places = [n for n, event in enumerate(events) if event.get("message", {}).get("job_id") == old]
        receive = next(
            n for n in reversed(places) if events[n]["event"] == "receive" and events[n]["actor"] == "client-a"
        )
        events[receive]["message"]["job_id"] = "job-99999999-0000-4000-8000-000000000000"

    findings = compare(CASSETTES[name].events, edited(name, wander, tmp_path))
    assert [(finding.kind.value, finding.field) for finding in findings] == [("changed", "job_id")]


def test_an_id_that_the_client_chose_has_to_come_back_as_it_was(tmp_path: Path) -> None:
    def edit(events: list[dict[str, Any]]) -> None:
        events[place_of(events, "client-a", "job_accepted")]["message"]["job_id"] = "order-1730"

    findings = compare(CASSETTES["client-chosen-job-id"].events, edited("client-chosen-job-id", edit, tmp_path))
    assert summary(findings) == [("changed", "client-a", "job_accepted", "job_id")]


@pytest.mark.parametrize(("field", "value"), [("priority", 4), ("params", {"prompt": "a dog"}), ("job_type", "other")])
def test_a_worker_that_is_given_something_else_than_was_submitted_is_found(
    field: str, value: Any, tmp_path: Path
) -> None:
    def edit(events: list[dict[str, Any]]) -> None:
        events[place_of(events, "worker-a", "job_assigned")]["message"][field] = value

    happy = CASSETTES["happy-path"].events
    findings = compare(happy, edited("happy-path", edit, tmp_path), workers_by_facts=True)
    assert [(finding.role, finding.field.partition(".")[0]) for finding in findings] == [("worker", field)]


def test_answers_belong_to_requests_in_their_order(tmp_path: Path) -> None:
    def edit(events: list[dict[str, Any]]) -> None:
        answers = [event for event in events if event["event"] == "response"]
        answers[8] |= {"status": 200, "body": {"jobs": []}}
        answers[10]["body"]["hint"] = "another"

    findings = compare(CASSETTES["rest-bad-requests"].events, edited("rest-bad-requests", edit, tmp_path))
    assert [finding.field for finding in findings] == ["status", "body.detail"]


def test_two_jobs_given_one_id_are_found(tmp_path: Path) -> None:
    text = (FOLDER / "submit-with-no-worker.jsonl").read_text()
    ids = [
        event.content["job_id"]
        for event in CASSETTES["submit-with-no-worker"].events
        if isinstance(event, Receive) and event.content["type"] == "job_accepted"
    ]
    path = tmp_path / "one.jsonl"
    path.write_text(text.replace(ids[1], ids[0]))
    assert any(
        finding.field == "job_id" for finding in compare(CASSETTES["submit-with-no-worker"].events, load(path).events)
    )


def order_keys(event: Event) -> frozenset[str]:
    return frame_of(0, "client", event).order_keys if isinstance(event, Receive) else frozenset({EVERYTHING})


@settings(deadline=None)
@given(st.data())
def test_frames_that_commute_may_come_in_any_order(data: st.DataObject) -> None:
    cassette: Cassette = data.draw(st.sampled_from(list(CASSETTES.values())))
    events = list(cassette.events)
    for _ in range(data.draw(st.integers(0, 40))):
        place = data.draw(st.integers(0, len(events) - 2))
        one, other = events[place], events[place + 1]
        apart = one.actor != other.actor
        commute = EVERYTHING not in order_keys(one) | order_keys(other) and not order_keys(one) & order_keys(other)
        if apart or commute:
            events[place], events[place + 1] = other, one
    assert compare(cassette.events, events) == []


def offer(event: Event) -> tuple[str, str] | None:
    content = event.content if isinstance(event, Receive) and isinstance(event.content, dict) else {}
    return (event.actor, content["job_id"]) if content.get("type") == "job_available" else None


@settings(deadline=None)
@given(st.data())
def test_a_frame_lost_anywhere_is_found(data: st.DataObject) -> None:
    cassette: Cassette = data.draw(st.sampled_from([CASSETTES[name] for name in NAMES if name != "rest-bad-requests"]))
    receives = [
        place
        for place, event in enumerate(cassette.events)
        if isinstance(event, Receive)
        and isinstance(event.content, dict)
        and not {event.content.get("type"), event.content.get("original_type")} & {"stats_broadcast", "worker_status"}
    ]
    offers = [offer(event) for event in cassette.events]
    once = [at for at in receives if offers[at] is None or offers.count(offers[at]) == 1]  # how often is chance
    place = data.draw(st.sampled_from(once))
    left = [event for index, event in enumerate(cassette.events) if index != place]
    findings = compare(cassette.events, left)
    assert [finding.kind for finding in findings] == [FindingKind.MISSING]


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    return [path] if parts is None else [leaf for key, part in parts for leaf in leaves(part, (*path, key))]


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = with_value(value[path[0]], path[1:], new)
    return changed


def value_at(value: Any, path: tuple[Any, ...]) -> Any:
    return value_at(value[path[0]], path[1:]) if path else value


@settings(deadline=None)
@given(st.data())
def test_any_value_changed_anywhere_is_found(data: st.DataObject) -> None:
    """But the text of pieces, which are cut at other places in every run, and an id that is told only once."""
    cassette: Cassette = data.draw(st.sampled_from(list(CASSETTES.values())))
    periodic = timer_frames(cassette.events)
    places = [
        place
        for place, event in enumerate(cassette.events)
        if isinstance(event, Receive | Response) and place not in periodic and isinstance(content_of(event), dict)
    ]
    place = data.draw(st.sampled_from(places))
    event = cassette.events[place]
    content = content_of(event)
    path = data.draw(st.sampled_from(leaves(content)))
    new = data.draw(st.sampled_from(["another", 77, None, True]).filter(lambda new: new != value_at(content, path)))
    assume(path[0] != "content" or content.get("type") != "chunked_message")
    assume(not (path[-1] == "job_id" and isinstance(new, str)))
    field = "message" if isinstance(event, Receive) else "body"
    changed = msgspec.structs.replace(event, **{field: with_value(content, path, new)})
    assert compare(cassette.events, [*cassette.events[:place], changed, *cassette.events[place + 1 :]])


def content_of(event: Event) -> Any:
    return event.content if isinstance(event, Receive) else event.body if isinstance(event, Response) else None


def test_lists_of_statistics_without_an_order_are_compared_as_sets(tmp_path: Path) -> None:
    def reverse(events: list[dict[str, Any]]) -> None:
        for event in events:
            if event.get("message", {}).get("type") == "stats_broadcast":
                event["message"]["system"]["jobs"]["active_jobs"].reverse()
                event["message"]["connections"]["clients"].reverse()

    def lose_one(events: list[dict[str, Any]]) -> None:
        for event in events:
            if jobs := event.get("message", {}).get("system", {}).get("jobs", {}).get("active_jobs"):
                del jobs[-1]

    name = "real-queue"
    recorded = CASSETTES[name].events
    assert compare(recorded, edited(name, reverse, tmp_path)) == []
    assert compare(recorded, edited(name, lose_one, tmp_path))


def of_a_silent_worker(said_at: float, left_at: float, reason: str) -> list[Event]:
    """A worker that says for the last time that it lives, and how its connection ends."""
    return [
        Open(at=0.0, actor="worker-a", role=Role.WORKER, path="/ws/worker/worker-a"),
        Send(at=1.0, actor="worker-a", message={"type": "register_worker"}),
        Receive(at=2.0, actor="worker-a", message={"type": "worker_registered", "worker_id": "worker-a"}),
        Send(at=said_at, actor="worker-a", message={"type": "worker_heartbeat", "worker_id": "worker-a"}),
        Closed(at=left_at, actor="worker-a", code=1000, reason=reason),
    ]


def test_whether_the_hubs_round_or_a_silent_worker_itself_was_first_is_no_difference() -> None:
    left = of_a_silent_worker(500.0, 75_500.0, "")
    sent_away = of_a_silent_worker(500.0, 61_000.0, "Worker worker-a disconnected")
    assert compare(left, sent_away) == compare(sent_away, left) == []
    assert summary(compare(left, of_a_silent_worker(500.0, 61_000.0, "Worker b disconnected")))
    assert summary(compare(left, of_a_silent_worker(2_000.0, 61_000.0, "Worker worker-a disconnected")))


def test_a_large_stream_is_aligned_in_reasonable_time() -> None:
    many = [
        Receive(at=n, actor="a", message={"type": "update_job_progress", "job_id": "j", "progress": n})
        for n in range(20_000)
    ]
    assert summary(compare(many, many[:5_000] + many[5_001:])) == [("missing", "a", "update_job_progress", "")]
