"""The pauses between tries."""

from __future__ import annotations

from new_stack.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_begin_anew_after_success() -> None:
    backoff = Backoff(first_s=1, longest_s=5, chance=lambda: 1.0)
    assert [backoff.next_s() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.succeeded()
    assert backoff.next_s() == 1


def test_the_jitter_takes_at_most_half() -> None:
    assert Backoff(first_s=2, longest_s=5, chance=lambda: 0.0).next_s() == 1
