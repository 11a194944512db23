"""What runs of the hub differ in excuses the stack, and no more than that."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.parity import FindingKind, compare, noise_of
from tests.harness.parity.edited import CASSETTES, edited, place_of


def test_what_two_runs_of_the_hub_differ_in_is_noise_but_never_another_end(tmp_path: Path) -> None:
    def message(events: list[dict[str, Any]]) -> None:
        events[place_of(events, "client-a", "update_job_progress", 0)]["message"]["message"] = "about 10"

    def end(events: list[dict[str, Any]]) -> None:
        message(events)
        events[place_of(events, "client-a", "complete_job")]["message"]["result"] = None

    happy = CASSETTES["happy-path"].events
    noise = noise_of(happy, happy, edited("happy-path", end, tmp_path))
    marked = noise.mark(compare(happy, edited("happy-path", end, tmp_path)))
    assert [(finding.message_type, finding.noise) for finding in marked] == [
        ("update_job_progress", True),
        ("complete_job", False),
    ]


def test_noise_excuses_no_other_values_and_no_more_than_were_seen(tmp_path: Path) -> None:
    def says(*texts: str) -> Callable[[list[dict[str, Any]]], None]:
        def edit(events: list[dict[str, Any]]) -> None:
            for nth, text in enumerate(texts):
                events[place_of(events, "client-a", "update_job_progress", nth)]["message"]["message"] = text

        return edit

    def drops(times: int) -> Callable[[list[dict[str, Any]]], None]:
        def edit(events: list[dict[str, Any]]) -> None:
            for _ in range(times):
                del events[place_of(events, "client-a", "update_job_progress")]

        return edit

    def marked(hub_again: Callable[..., None], stack: Callable[..., None]) -> list[bool]:
        happy = CASSETTES["happy-path"].events
        noise = noise_of(happy, happy, edited("happy-path", hub_again, tmp_path))
        return [finding.noise for finding in noise.mark(compare(happy, edited("happy-path", stack, tmp_path)))]

    assert marked(says("about 10"), says("about 10")) == [True]
    assert marked(says("about 10"), says("nonsense")) == [False]
    assert marked(says("about 10"), says("about 10", "about 10")) == [True, False]
    assert marked(drops(1), drops(1)) == [False], "progress that one run alone tells is no noise"


def test_two_runs_of_the_hub_are_too_few_to_excuse_anything(tmp_path: Path) -> None:
    def says(events: list[dict[str, Any]]) -> None:
        events[place_of(events, "client-a", "update_job_progress", 0)]["message"]["message"] = "about 10"

    happy, other = CASSETTES["happy-path"].events, edited("happy-path", says, tmp_path)
    assert [one.noise for one in noise_of(happy, other).mark(compare(happy, other))] == [False]
    assert [one.noise for one in noise_of(happy, other, happy).mark(compare(happy, other))] == [True]


@pytest.mark.parametrize(
    ("name", "actor", "kind"),
    [
        ("happy-path", "client-a", "update_job_progress"),
        ("happy-path", "client-a", "complete_job"),
        ("client-small-talk-and-nonsense", "client-a", "error"),
    ],
)
def test_progress_an_end_and_an_error_that_are_missing_are_never_noise(
    name: str, actor: str, kind: str, tmp_path: Path
) -> None:
    def drop(events: list[dict[str, Any]]) -> None:
        del events[place_of(events, actor, kind)]

    recorded, without = CASSETTES[name].events, edited(name, drop, tmp_path)
    (found,) = noise_of(recorded, without, recorded).mark(compare(recorded, without))
    assert (found.kind, found.message_type, found.noise) == (FindingKind.MISSING, kind, False)
