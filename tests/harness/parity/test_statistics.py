from typing import Any

from harness.cassettes import Close, Event, Open, Receive, Role
from harness.parity import compare

STATE: dict[str, Any] = {"workers": {"w-1": {"status": "idle"}}, "system": {"jobs": {"total": 1, "active_jobs": []}}}


def monitored(*told: tuple[float, dict[str, Any]]) -> list[Event]:
    """A monitor that is greeted with statistics, and then told others by the clock."""
    greeting = {"type": "stats_broadcast", "workers": {}, "system": {"jobs": {"total": 0, "active_jobs": []}}}
    events: list[Event] = [
        Open(at=0.0, actor="monitor-a", role=Role.MONITOR, path="/ws/monitor/monitor-a"),
        Receive(at=1.0, actor="monitor-a", message=greeting),
    ]
    events += [Receive(at=at, actor="monitor-a", message={"type": "stats_broadcast", **state}) for at, state in told]
    return [*events, Close(at=9_000.0, actor="monitor-a")]


def found(*told: tuple[float, dict[str, Any]]) -> list[tuple[str, Any, Any]]:
    findings = compare(monitored((500.0, STATE), (2_000.0, STATE)), monitored(*told))
    return [(finding.field, finding.expected, finding.observed) for finding in findings]


def test_how_many_come_and_what_they_say_on_the_way_is_chance() -> None:
    on_the_way = {**STATE, "system": {"jobs": {"total": 0, "active_jobs": []}}}
    assert found((300.0, on_the_way), (600.0, on_the_way), (1_900.0, STATE)) == []
    assert found() == []


def test_what_they_say_in_the_end_is_not() -> None:
    frozen = {**STATE, "system": {"jobs": {"total": 0, "active_jobs": []}}}
    assert found((500.0, frozen), (2_000.0, frozen)) == [("system.jobs.total", 1, 0)]


def test_a_field_that_is_missing_on_the_way_is_found() -> None:
    without = {"system": STATE["system"], "workers": {"w-1": {"since": 5}}}
    assert found((500.0, without)) == [("workers.*.status", "<text>", "(absent)")]


def test_a_field_of_another_kind_is_found() -> None:
    text = {**STATE, "workers": {"w-2": {"status": 7}}}
    assert found((500.0, text)) == [("workers.*.status", "<text>", "<number>")]


def test_a_status_that_a_worker_repeats_is_told_by_its_clock() -> None:
    def told(*statuses: str) -> list[Event]:
        events = monitored()
        for place, status in enumerate(statuses):
            frame = {"type": "worker_status", "worker_id": "w-1", "status": status}
            events.insert(-1, Receive(at=10.0 + place, actor="monitor-a", message=frame))
            events.insert(
                -1,
                Receive(at=10.1 + place, actor="monitor-a", message={"type": "ack", "original_type": "worker_status"}),
            )
        return events

    assert compare(told("busy", "idle"), told("busy", "busy", "idle", "idle")) == []
    assert len(compare(told("busy", "idle"), told("busy", "idle", "busy"))) == 2, "the status and its acknowledgement"
    assert compare(told("idle", "busy", "idle"), told("idle", "idle")), "a change that nobody tells is missed"
