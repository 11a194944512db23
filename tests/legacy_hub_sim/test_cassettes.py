"""The core against every recording of the real hub: what each actor receives, in its order, to the letter."""

from __future__ import annotations

from typing import Any

import pytest

from tests.legacy_hub_sim.cassettes import NAMES, actors, events
from tests.legacy_hub_sim.player import Player

STARTED: dict[str, dict[str, Any]] = {"auth-token": {"token": "s3cret", "ready_seconds": 0.6}}


@pytest.mark.parametrize("name", NAMES)
def test_the_core_answers_as_the_recorded_hub(name: str) -> None:
    recorded = events(name)
    player = Player(**STARTED.get(name, {}))
    player.play(recorded)
    for actor in actors(recorded):
        assert player.seen_texts(actor) == player.expected_texts(actor), actor
