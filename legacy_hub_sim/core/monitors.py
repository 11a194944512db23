"""What monitors may say, and what they are answered."""

from __future__ import annotations

from typing import Any

from legacy_hub_sim.core import messages, stats
from legacy_hub_sim.core.leaks import Leak
from legacy_hub_sim.core.outgoing import Style
from legacy_hub_sim.core.peers import Peer
from legacy_hub_sim.core.turn import Turn


def handle(turn: Turn, peer: Peer, message: dict[str, Any]) -> None:
    """One message of a monitor."""
    match message.get("type"):
        case "subscribe":
            subscribe(turn, peer, message.get("channels", []))
        case "get_system_status":
            stats.send_status(turn)
        case "stay_alive":
            turn.reply(peer, messages.stamped("stay_alive_response", turn.now), Style.SPACED)
        case other:
            turn.reply(peer, messages.bare_error(f"Unsupported message type: {other}"), Style.SPACED)


def subscribe(turn: Turn, peer: Peer, channels: Any) -> None:
    """`subscribe`: set the filter, confirm twice, and show every monitor the status, unless a channel is no text."""
    turn.memory.filters[peer.name] = as_filter(channels)
    turn.reply(peer, {"type": "subscription_confirmed", "channels": channels}, Style.SPACED)
    try:
        confirmed = messages.subscription_confirmed(
            turn.now, job_id="monitor-subscription", monitor_id=peer.name, channels=channels
        )
    except Leak:
        return
    turn.reply(peer, confirmed, Style.SPACED)
    stats.send_status(turn, detailed=False)


def as_filter(channels: Any) -> frozenset[Any]:
    """The channels as a set; raises `Leak` with Python's words for what makes none."""
    try:
        return frozenset(channels)
    except TypeError as error:
        raise Leak(str(error)) from None
