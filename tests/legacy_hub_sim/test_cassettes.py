"""The core against every recording of the real hub: what each actor receives, in its order, to the letter."""

from __future__ import annotations

import pytest

from tests.legacy_hub_sim.cassettes import NAMES, TOKENS, cassette
from tests.legacy_hub_sim.player import READY_SECONDS, Player

READY = {"auth-token": 0.6, "real-queue": 1.9}


@pytest.mark.parametrize("name", NAMES)
def test_the_core_answers_as_the_recorded_hub(name: str) -> None:
    recorded = cassette(name)
    player = Player(recorded.events, token=TOKENS.get(name, ""), ready_seconds=READY.get(name, READY_SECONDS))
    player.play()
    for actor in recorded.roles:
        assert player.seen_texts(actor) == player.expected_texts(actor), actor
