"""Both transcripts side by side: what the report shows is what was compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cassettes import Event, Receive, load
from harness.parity import FindingKind, parity_of
from harness.parity.alignment import Place, side_by_side

FOLDER = Path(__file__).parents[3] / "scenarios" / "cassettes"
CASSETTES = {path.stem: load(path).events for path in sorted(FOLDER.glob("*.jsonl"))}

events = st.builds(
    lambda actor, kind, at: Receive(at=at, actor=actor, message={"type": kind}),
    st.sampled_from(["client-a", "client-b"]),
    st.sampled_from(["job_accepted", "complete_job", "error"]),
    st.floats(0, 1000),
)
transcripts = st.lists(events, max_size=12)


def said(*kinds: str) -> list[Event]:
    return [Receive(at=at, actor="c", message={"type": kind}) for at, kind in enumerate(kinds)]


def kinds(rows: list[Place], expected: list[Event], observed: list[Event]) -> list[tuple[str | None, str | None]]:
    def kind(events: list[Event], place: int | None) -> str | None:
        event = events[place] if place is not None else None
        return event.content["type"] if isinstance(event, Receive) else None

    return [(kind(expected, left), kind(observed, right)) for left, right in rows]


@given(transcripts, transcripts, st.data())
def test_every_event_of_either_side_is_in_exactly_one_row_and_what_is_known_is_kept(
    expected: list[Event], observed: list[Event], data: st.DataObject
) -> None:
    lefts = data.draw(st.permutations(range(len(expected))))
    rights = data.draw(st.permutations(range(len(observed))))
    known: list[Place] = list(zip(lefts[:3], rights[:3], strict=False))
    known += [(left, None) for left in lefts[3:5]] + [(None, right) for right in rights[3:5]]
    rows = side_by_side(expected, observed, known)
    assert [left for left, _ in rows if left is not None] == list(range(len(expected)))
    assert sorted(right for _, right in rows if right is not None) == list(range(len(observed)))
    assert set(known) <= set(rows)


@pytest.mark.parametrize("name", CASSETTES)
def test_a_transcript_beside_itself_has_two_sides_in_every_row_and_the_same_order(name: str) -> None:
    whole = list(range(len(CASSETTES[name])))
    assert parity_of(CASSETTES[name], CASSETTES[name]).rows == list(zip(whole, whole, strict=True))


@pytest.mark.parametrize("kind", [FindingKind.MISSING, FindingKind.EXTRA, FindingKind.CHANGED])
@pytest.mark.parametrize(
    "name", ["happy-path", "second-client-subscribes", "cancel-running", "rest-submit-and-poll", "priority-then-age"]
)
def test_each_finding_points_to_the_row_of_the_frame_that_it_is_about(name: str, kind: FindingKind) -> None:
    events = list(CASSETTES[name])
    place = next(n for n, event in enumerate(events) if isinstance(event, Receive) and "job_id" in str(event.content))
    without = [*events[:place], *events[place + 1 :]]
    odd = Receive(at=0, actor=events[place].actor, message={"type": "odd"})
    sides = {
        FindingKind.MISSING: (events, without),
        FindingKind.EXTRA: (without, events),
        FindingKind.CHANGED: (events, [*events[:place], odd, *events[place + 1 :]]),
    }
    expected, observed = sides[kind]
    result = parity_of(expected, observed)
    assert result.findings
    for finding in result.findings:
        left, right = result.rows[finding.row if finding.row is not None else -1]
        assert (left is None, right is None) == (finding.kind is FindingKind.EXTRA, finding.kind is FindingKind.MISSING)
        event = expected[left] if left is not None else observed[right or 0]
        assert event.actor == finding.actor


def test_what_is_missing_and_what_is_extra_do_not_stand_beside_each_other() -> None:
    expected, observed = said("hello", "done"), said("hello", "done")
    assert kinds(side_by_side(expected, observed, [(1, None), (None, 1)]), expected, observed) == [
        ("hello", "hello"),
        (None, "done"),
        ("done", None),
    ]


def test_a_frame_out_of_order_stands_beside_its_twin() -> None:
    expected, observed = said("a", "b", "z"), said("b", "a", "z")
    assert kinds(side_by_side(expected, observed, [(0, 1), (1, 0)]), expected, observed) == [
        ("a", "a"),
        ("b", "b"),
        ("z", "z"),
    ]


def test_something_extra_before_all_else_comes_first() -> None:
    expected, observed = said("done"), said("hello", "done")
    assert kinds(side_by_side(expected, observed, [(None, 0)]), expected, observed) == [
        (None, "hello"),
        ("done", "done"),
    ]


def test_what_actors_sent_is_paired_in_its_order_by_actor_and_kind() -> None:
    expected, observed = said("a", "b", "a"), said("a", "a", "b")
    assert side_by_side(expected, observed, []) == [(0, 0), (1, 2), (2, 1)]
