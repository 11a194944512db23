"""Whether a target that was given speaks as hubgate's own clients do: asked before anything is sent to it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from harness.clients.hub_clients import ExpectationTimeout, RecordingSocket
from harness.clients.transport import HandshakeRefused, plain_http, require_answer
from harness.errors import CouldNotRun
from harness.targets import HubTarget, StackTarget, Target

ANSWER_S: Final = 5.0
OTHER_WORDS: Final = (
    "One with words of its own is judged by `hubgate gate --protocol FILE`; `load`, `replay`, pytest take --protocol,"
    " too (docs/your-own.md)."
)
_SHAPE: Final = {"/api/stats": ("queue", Mapping), "/api/workers": ("workers", list)}


class NotRecognised(CouldNotRun):
    """It does not speak as what it was given as; the sentence says by what that is known."""


class TokenWrong(NotRecognised):
    """It demands a token, and none or a wrong one is given."""


async def recognise(target: Target, *, workers: bool = False) -> None:
    """Return where it speaks as hubgate's stack, or as the hub; with `workers`, to workers of a hub as well.

    Raises NotRecognised, and Unreachable.
    """
    await require_answer(target.http_url)
    if not isinstance(target, HubTarget):
        await stack_answers(target)
        return
    for role in ("client", *(["worker"] if workers else [])):
        await _greeted(target, role)


async def stack_answers(target: StackTarget) -> dict[str, dict[str, Any]]:
    """What a stack's API says of its queue and its workers, by path. Raises NotRecognised, httpx.HTTPError."""
    found: dict[str, dict[str, Any]] = {}
    async with plain_http(target.http_url, target.token, ANSWER_S) as http:
        for path, (name, kind) in _SHAPE.items():
            answer = await http.get(path)
            if answer.status_code in {401, 403}:
                raise TokenWrong(f"{target.http_url} demands a token, and none or a wrong one is given (--token)")
            found[path] = _fields(answer)
            if not isinstance(found[path].get(name), kind):
                told = f"GET {path} is answered with {answer.status_code} and without `{name}`"
                raise NotRecognised(f"{target.http_url} does not speak as hubgate's stack: {told}. {OTHER_WORDS}")
    return found


@asynccontextmanager
async def greeting(target: HubTarget, role: str, name: str) -> AsyncIterator[tuple[RecordingSocket, dict[str, Any]]]:
    """A connection to a hub, and its first message on it. Raises ExpectationTimeout and Unreachable."""
    async with RecordingSocket(target.ws_url, role, name, token=target.token) as client:
        yield client, await client.wait_for(lambda _: True, "a greeting", timeout_s=ANSWER_S)


async def _greeted(target: HubTarget, role: str) -> None:
    name = f"hubgate-looks-{secrets.token_hex(4)}"
    try:
        async with greeting(target, role, name) as (_, first):
            pass
    except (ExpectationTimeout, HandshakeRefused) as error:
        why = f"at /ws/{role}/{name} it does not greet ({error})"
        raise NotRecognised(f"{target.http_url} does not speak as the hub: {why}. {OTHER_WORDS}") from error
    if first.get("type") == "error":
        raise TokenWrong(f"{target.http_url} lets nobody in: {first.get('error')} (--token)")
    if first.get("type") != "connection_established":
        why = f"at /ws/{role}/{name} it greets with {first.get('type')}"
        raise NotRecognised(f"{target.http_url} does not speak as the hub: {why}. {OTHER_WORDS}")


def _fields(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
