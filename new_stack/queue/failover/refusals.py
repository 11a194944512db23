"""What Redis's refusals mean: not now, not here, or never."""

from __future__ import annotations

from typing import Final

from new_stack.queue.errors import QueueError, RedisRefused, RefusedForNow
from new_stack.queue.failover.address import Node

REOPEN: Final = frozenset({"READONLY", "UNBLOCKED", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "ASK", "MOVED"})
"""First words of errors after which another connection may reach a server that can: the state of this one changed."""

TRANSIENT: Final = REOPEN | {"OOM", "BUSY", "MISCONF", "TRYAGAIN", "NOREPLICAS", "WRONGPASS", "NOPERM"}
"""First words of errors that say: not now, or not as you stand."""

ELSEWHERE: Final = "Redis refused for now: another node of the cluster has the keys"

TRANSIENT_SENTENCES: Final = (
    "max number of clients",
    "ACL failure in script",
    "can't run this command",
    "can't access at least one of the keys",
    "non local key",
)
"""Parts of errors without such a first word that mean the same: no room, a right is missing, a slot is on its way."""


def first_word(reply: Exception) -> str:
    """The word that says which error it is."""
    return str(reply).split(" ", 1)[0]


def as_queue_error(reply: Exception) -> QueueError:
    """The error that a refusal of Redis means to us."""
    text, word = str(reply), first_word(reply)
    if word == "MOVED":
        host, _, port = text.split(" ")[2].rpartition(":")
        return RedisMoved(text, (host, int(port)))
    if word == "ASK":
        return RefusedForNow(ELSEWHERE, f"Redis refused for now: {text}")
    if word in TRANSIENT or any(part in text for part in TRANSIENT_SENTENCES):
        return RefusedForNow(f"Redis refused for now: {text}")
    return RedisRefused(text)


class RedisMoved(RefusedForNow):
    """The keys are on another node of the cluster."""

    def __init__(self, text: str, node: Node) -> None:
        super().__init__(ELSEWHERE, f"Redis refused for now: {text}")
        self.node = node
