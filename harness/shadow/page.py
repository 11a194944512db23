"""The live page: what differs, counted by cause, while it is being found."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from harness.shadow.ledger import Ledger
from harness.shadow.traffic import Settings

PAGE: Final = Path(__file__).with_name("page.html")


@asynccontextmanager
async def serve_page(settings: Settings, ledger: Ledger) -> AsyncIterator[None]:
    """Serve `/` and `/counts.json`. Where the port is taken there is no page, and the shadow goes on."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE.read_text(encoding="utf-8"), content_type="text/html")

    async def counts(_: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(shown(settings, ledger)), content_type="application/json")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/counts.json", counts)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, *settings.page).start()
    except OSError as error:
        sys.stderr.write(f"hubgate: no page on {settings.page[0]}:{settings.page[1]}: {error.strerror}\n")
    try:
        yield
    finally:
        await runner.cleanup()


def shown(settings: Settings, ledger: Ledger) -> dict[str, Any]:
    """What the page shows, counted until now."""
    ledger.tell_counts()
    sums = ledger.sums
    causes = sorted(sums.causes.values(), key=lambda cause: -cause.times)
    return {
        "primary": settings.primary,
        "candidate": settings.candidate,
        "sample": settings.sample,
        "jobs": sums.jobs,
        "frames": sums.frames,
        **{name: dict(counter.most_common()) for name, counter in sums.counts.items()},
        "causes": [
            {
                "sentence": cause.sentence,
                "times": cause.times,
                "clients": len(cause.clients),
                "first": cause.first,
                "last": cause.last,
            }
            for cause in causes
        ],
    }
