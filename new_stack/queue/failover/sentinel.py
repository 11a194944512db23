"""Which server is the primary now, as the Sentinels know it."""

from __future__ import annotations

import msgspec
from redis.exceptions import RedisError

from new_stack.queue.errors import QueueUnavailable
from new_stack.queue.failover.address import Address, Node
from new_stack.queue.opener import opener_to


async def primary(address: Address, *, within_s: float) -> Node:
    """Where the service's primary is, by the first Sentinel that answers. Raises QueueUnavailable."""
    asked = msgspec.structs.replace(
        address,
        username=address.options.get("sentinel_username", ""),
        password=address.options.get("sentinel_password", ""),
        database=0,
    )
    reasons: list[str] = []
    for node in address.nodes:
        opener = opener_to(asked, node, within_s / (len(address.nodes) + 1))
        try:
            await opener.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            await opener.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.service)
            found = await opener.read_response()
        except (RedisError, OSError, RuntimeError) as error:  # uvloop: RuntimeError where it hung up
            reasons.append(f"Sentinel {node[0]}:{node[1]}: {error or 'no answer'}")
        else:
            if found:
                return found[0].decode(), int(found[1])
            reasons.append(f"Sentinel {node[0]}:{node[1]} does not know {address.service}")
        finally:
            await opener.disconnect(nowait=True)
    known = f"no primary of {address.service} is known: {'; '.join(reasons)}"
    raise QueueUnavailable("Redis cannot be reached", known)
