from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.results import Frame, Spoken, align

events = st.builds(
    lambda actor, kind, at: Spoken(actor, Frame(at=at, event="receive", message={"type": kind})),
    st.sampled_from(["client-a", "client-b"]),
    st.sampled_from(["job_accepted", "complete_job", "error"]),
    st.integers(0, 1000),
)
transcripts = st.lists(events, max_size=12)


def said(actor: str, *kinds: str) -> list[Spoken]:
    return [Spoken(actor, Frame(at=at, event="receive", message={"type": kind})) for at, kind in enumerate(kinds)]


@given(transcripts, transcripts)
def test_every_event_of_either_side_is_in_exactly_one_row_and_in_its_actors_order(
    expected: list[Spoken], observed: list[Spoken]
) -> None:
    alignment = align(expected, observed)
    for actor in ("client-a", "client-b"):
        mine = [row for row in alignment.rows if row.actor == actor]
        assert [row.expected for row in mine if row.expected] == [s.frame for s in expected if s.actor == actor]
        assert [row.observed for row in mine if row.observed] == [s.frame for s in observed if s.actor == actor]


@given(transcripts, transcripts)
def test_an_event_is_found_in_the_row_it_is_said_to_be_in(expected: list[Spoken], observed: list[Spoken]) -> None:
    alignment = align(expected, observed)
    assert [alignment.rows[row].expected for row in alignment.expected_rows] == [s.frame for s in expected]
    assert [alignment.rows[row].observed for row in alignment.observed_rows] == [s.frame for s in observed]


@given(transcripts)
def test_a_transcript_beside_itself_has_two_sides_in_every_row_and_the_same_order(transcript: list[Spoken]) -> None:
    rows = align(transcript, transcript).rows
    assert [row.expected for row in rows] == [row.observed for row in rows] == [s.frame for s in transcript]


def test_a_renamed_message_stands_beside_the_one_it_replaces() -> None:
    rows = align(said("c", "hello", "job_accepted", "done"), said("c", "hello", "job_submitted", "done")).rows
    assert len(rows) == 3
    assert rows[1].expected is not None
    assert rows[1].observed is not None
    assert rows[1].observed.message == {"type": "job_submitted"}


def test_a_missing_message_leaves_its_place_empty() -> None:
    rows = align(said("c", "hello", "progress", "done"), said("c", "hello", "done")).rows
    assert [row.observed is None for row in rows] == [False, True, False]


@given(transcripts, transcripts, st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=6))
def test_what_belongs_together_is_in_one_row_and_everything_is_still_in_exactly_one(
    expected: list[Spoken], observed: list[Spoken], guesses: list[tuple[int, int]]
) -> None:
    lefts: dict[int, int] = {}
    for left, right in guesses:
        if left < len(expected) and right < len(observed) and expected[left].actor == observed[right].actor:
            lefts.setdefault(left, right)
    together = list({right: (left, right) for left, right in lefts.items()}.values())
    alignment = align(expected, observed, together)
    assert all(alignment.expected_rows[left] == alignment.observed_rows[right] for left, right in together)
    assert sorted(alignment.expected_rows) == sorted(n for n, row in enumerate(alignment.rows) if row.expected)
    assert sorted(alignment.observed_rows) == sorted(n for n, row in enumerate(alignment.rows) if row.observed)


def test_a_message_out_of_order_stands_beside_its_twin() -> None:
    rows = align(said("c", "a", "b", "z"), said("c", "b", "a", "z"), together=[(0, 1), (1, 0)]).rows
    assert [(row.expected and row.expected.message["type"], row.observed and row.observed.message["type"])
            for row in rows] == [("a", "a"), ("b", "b"), ("z", "z")]  # fmt: skip
