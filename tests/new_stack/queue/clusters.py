"""Clusters of real servers, for a test to break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from harness.processes import free_port
from tests.new_stack.conftest import ValkeyProcess
from tests.new_stack.queue.conftest import connection_to

SLOTS = 16384


@asynccontextmanager
async def cluster_of(
    shares: Sequence[tuple[int, int] | None], *options: str, program: str | None = None
) -> AsyncIterator[list[ValkeyProcess]]:
    """Nodes that know each other, each with the slots from the one to the other; None for a node without any.

    Later nodes have the higher epochs: where two claim a slot, the later one is believed.
    """
    nodes = [
        ValkeyProcess("--cluster-enabled", "yes", *options, "--cluster-port", str(free_port()), program=program)
        for _ in shares
    ]
    try:
        for node in nodes:
            node.start()
        connections = [connection_to(node.url) for node in nodes]
        for epoch, (connection, share) in enumerate(zip(connections, shares, strict=True), start=1):
            await connection.call("CLUSTER", "SET-CONFIG-EPOCH", epoch)
            if share:
                await connection.call("CLUSTER", "ADDSLOTSRANGE", *share)
        for node in nodes[1:]:
            await connections[0].call("CLUSTER", "MEET", "127.0.0.1", node.port, node.options[-1])
        async with asyncio.timeout(30):
            for connection in connections:
                while not is_whole(await connection.call("CLUSTER", "INFO"), len(nodes)):
                    await asyncio.sleep(0.1)
        yield nodes
    finally:
        for node in nodes:
            node.remove()


def is_whole(info: bytes, nodes: int) -> bool:
    """Whether a node says that it knows so many, and that all is well."""
    return b"cluster_state:ok" in info and f"cluster_known_nodes:{nodes}\r".encode() in info
