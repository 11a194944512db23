from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cassettes import Cassette, Receive, load
from harness.cassettes.replay.expectations import Expectations
from harness.cassettes.tokens import Bindings, tokens_of

FOLDER = Path(__file__).parents[4] / "scenarios" / "cassettes"
CASSETTES = [load(path) for path in sorted(FOLDER.glob("*.jsonl"))]
ONE = "job-11111111-1111-4111-8111-111111111111"
TWO = "job-22222222-2222-4222-8222-222222222222"


def receive(word: str, job_id: str, **more: object) -> Receive:
    return Receive(at=0, actor="c", message={"type": word, "job_id": job_id, **more})


@settings(deadline=None)  # a busy machine is no fault of the code
@given(st.sampled_from(CASSETTES))
def test_a_recording_played_to_itself_leaves_nothing_outstanding(cassette: Cassette) -> None:
    expectations = Expectations(cassette.events, Bindings(tokens_of(cassette.events)))
    for event in cassette.events:
        if type(event).__name__ in {"Receive", "Closed", "Response"}:
            assert expectations.arrive(event) is not None  # type: ignore[arg-type]
    assert expectations.outstanding(len(cassette.events)) == []


def test_a_frame_of_another_job_is_not_taken_for_the_one_that_is_due() -> None:
    events = [receive("job_accepted", ONE), receive("update_job_progress", ONE, progress=5)]
    bindings = Bindings(tokens_of(events))
    expectations = Expectations(events, bindings)
    assert expectations.arrive(receive("job_accepted", TWO)) == 0
    assert bindings.outgoing({"job_id": ONE}) == {"job_id": TWO}
    other = "job-33333333-3333-4333-8333-333333333333"
    assert expectations.arrive(receive("update_job_progress", other, progress=5)) is None
    assert expectations.outstanding(2) == [1]
    assert expectations.arrive(receive("update_job_progress", TWO, progress=6)) == 1


def test_the_closest_of_several_expected_frames_is_met() -> None:
    events = [receive("update_job_progress", "j", progress=progress) for progress in (10, 50, 100)]
    expectations = Expectations(events, Bindings(()))
    assert expectations.arrive(receive("update_job_progress", "j", progress=50)) == 1
    assert expectations.outstanding(3) == [0, 2]


def test_statistics_that_nobody_asked_for_are_not_waited_for() -> None:
    monitor = next(cassette for cassette in CASSETTES if cassette.name == "monitor-small-talk-and-nonsense")
    expectations = Expectations(monitor.events, Bindings(()))
    outstanding = expectations.outstanding(len(monitor.events))
    words = [event.content["type"] for event in (monitor.events[n] for n in outstanding) if isinstance(event, Receive)]
    assert words.count("stats_broadcast") == 3
