"""What the client refuses by itself, at once and in words, since no server could answer it better."""

from __future__ import annotations

import math
from typing import Any

import pytest

from new_stack.client import BlockingClient, HybridClient, Mode, RequestRefused, UnknownJob
from tests.new_stack.client.conftest import QUICK

NOBODY = "http://127.0.0.1:1"
"""Where nothing listens: what were sent would end as ServerUnavailable."""


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "localhost", "", "ftp://h", "http://", "http:/h", "http://h:port", None]
)
def test_what_is_no_address_is_refused_before_anything_is_opened(url: Any) -> None:
    for kind in (HybridClient, BlockingClient):
        with pytest.raises(ValueError, match=r"is no URL of a server: it has to be http://HOST:PORT"):
            kind(url)


@pytest.mark.parametrize("mode", ["auto", "http", "websocket"])
@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ({"losses": [0.5, {"now": math.nan}]}, "JSON has no nan"),
        ({"limit": -math.inf}, "JSON has no -inf"),
        ({"text": "\ud800"}, "surrogates not allowed"),
        ({"thing": object()}, "object"),
    ],
)
async def test_a_payload_that_json_cannot_say_names_its_field(mode: Mode, payload: dict[str, Any], says: str) -> None:
    async with HybridClient(NOBODY, mode=mode, timeouts=QUICK) as client:
        with pytest.raises(RequestRefused, match=says) as refused:
            await client.submit("draw", payload)
        assert refused.value.fields[0]["field"] == "payload"
        with pytest.raises(RequestRefused, match=says):
            await client.submit("draw", extra={"note": payload})


async def test_no_job_has_an_empty_id() -> None:
    async with HybridClient(NOBODY, mode="http", timeouts=QUICK) as client:
        for ask in (client.status, client.cancel, client.retry, client.wait):
            with pytest.raises(UnknownJob, match="an id has at least one character"):
                await ask("")  # type: ignore[operator]
