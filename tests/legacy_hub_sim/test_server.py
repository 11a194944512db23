"""The hub over real sockets, its jobs in a real Valkey: the recordings again, and the bounds."""

from __future__ import annotations

import pytest

from tests.legacy_hub_sim.cassettes import NAMES, events
from tests.legacy_hub_sim.conftest import StartHub
from tests.legacy_hub_sim.socket_player import SocketPlayer

TOKENS = {"auth-token": "s3cret"}
AT_THE_RECORDED_PACE = {
    "happy-path-seen-by-monitor",
    "monitor-small-talk-and-nonsense",
    "worker-small-talk-and-nonsense",
}
"""A monitor is sent stats on the hub's own clock: what it sees between two sends depends on the time between them."""
TOO_LONG = {"worker-drops-mid-job"}
"""75 seconds of silence; played against the core, on its clock."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TOO_LONG])
async def test_the_server_answers_as_the_recorded_hub(name: str, redis_url: str, start_hub: StartHub) -> None:
    port = await start_hub(redis_url=redis_url, token=TOKENS.get(name, ""))
    player = SocketPlayer(port, paced=name in AT_THE_RECORDED_PACE)
    await player.play(events(name))
    assert player.differences() == {}
