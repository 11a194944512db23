from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.results import Frame, Row, Spoken, align

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


places = st.none() | st.integers(0, 11)


@given(transcripts, transcripts, st.lists(st.tuples(places, places), max_size=8))
def test_what_is_known_of_the_pairing_is_kept_and_everything_is_still_in_exactly_one_row(
    expected: list[Spoken], observed: list[Spoken], guesses: list[tuple[int | None, int | None]]
) -> None:
    known: list[tuple[int | None, int | None]] = []
    for left, right in guesses:
        theirs = {s.actor for s in (*expected[left : left + 1],)} if left is not None else set()
        ours = {s.actor for s in (*observed[right : right + 1],)} if right is not None else set()
        fresh = left not in {one for one, _ in known} - {None} and right not in {one for _, one in known} - {None}
        if fresh and len(theirs | ours) == 1 and (left is None or theirs) and (right is None or ours):
            known.append((left, right))
    alignment = align(expected, observed, known)
    for left, right in known:
        row = alignment.rows[alignment.expected_rows[left] if left is not None else alignment.observed_rows[right or 0]]
        assert row.expected is (None if left is None else expected[left].frame)
        assert row.observed is (None if right is None else observed[right].frame)
    assert sorted(alignment.expected_rows) == [n for n, row in enumerate(alignment.rows) if row.expected]
    assert sorted(alignment.observed_rows) == [n for n, row in enumerate(alignment.rows) if row.observed]


def kinds(rows: tuple[Row, ...]) -> list[tuple[str | None, str | None]]:
    return [
        (row.expected.message["type"] if row.expected else None, row.observed.message["type"] if row.observed else None)
        for row in rows
    ]


def test_a_message_out_of_order_stands_beside_its_twin() -> None:
    rows = align(said("c", "a", "b", "z"), said("c", "b", "a", "z"), [(0, 1), (1, 0)]).rows
    assert kinds(rows) == [("a", "a"), ("b", "b"), ("z", "z")]


def test_what_is_known_to_be_missing_and_to_be_extra_do_not_stand_beside_each_other() -> None:
    expected, observed = said("c", "hello", "status", "done"), said("c", "hello", "stats", "done")
    assert kinds(align(expected, observed).rows) == [("hello", "hello"), ("status", "stats"), ("done", "done")]
    rows = align(expected, observed, [(1, None), (None, 1)]).rows
    assert kinds(rows) == [("hello", "hello"), (None, "stats"), ("status", None), ("done", "done")]


@given(transcripts, transcripts, st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11)))
def test_events_without_a_partner_keep_their_actors_order(
    expected: list[Spoken], observed: list[Spoken], missing: set[int], extra: set[int]
) -> None:
    known = [(left, None) for left in missing if left < len(expected)]
    alignment = align(expected, observed, [*known, *((None, right) for right in extra if right < len(observed))])
    for actor in ("client-a", "client-b"):
        mine = [row for row in alignment.rows if row.actor == actor]
        assert [row.expected for row in mine if row.expected] == [s.frame for s in expected if s.actor == actor]
        assert [row.observed for row in mine if row.observed] == [s.frame for s in observed if s.actor == actor]


def test_something_extra_before_all_else_comes_first() -> None:
    rows = align(said("c", "done"), said("c", "hello", "done"), [(None, 0)]).rows
    assert kinds(rows) == [(None, "hello"), ("done", "done")]
