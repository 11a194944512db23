"""Brown-outs of the hub's protocols during a load: the stack is told of them by its own file, as operators do it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import httpx

from harness.clients.transport import plain_http
from harness.errors import CouldNotRun
from harness.history import HistoryWriter
from harness.history.absences import Part
from harness.load.recording import until_submitted
from harness.load.spec import BrownOut, LoadSpec
from harness.protocols import EventKind
from harness.targets import Target

FILE: Final = "deprecation.toml"
"""In the load's folder; the stack reads it again when it changes."""
SETTING: Final = "HUBGATE_DEPRECATION_FILE"
RULE: Final = '[[brown_out]]\nschedule = "* * * * *"\nminutes = 2\ninterrupt = {}\n'
"""One follows the other without a pause: it is over when the file says so."""
BY: Final = "brown-outs"
ANSWER_S: Final = 10.0
CHANGED_S: Final = 30.0
LOOK_S: Final = 0.1


async def brown_out(spec: LoadSpec, file: Path, target: Target, writer: HistoryWriter) -> None:
    """Refuse the hub's protocols in each window, and note from when and until when that may be seen.

    Raises CouldNotRun where the stack does not do as its file says.
    """
    await until_submitted(writer, 1)
    began, percent_s = time.monotonic(), spec.plan.duration_s / 100
    async with plain_http(target.http_url, target.token, ANSWER_S) as http:
        for window in spec.brown_outs:
            part = Part.ALL_LEGACY if window.interrupts else Part.LEGACY
            await asyncio.sleep(began + window.begins * percent_s - time.monotonic())
            writer.note(EventKind.BROWN_OUT, by=BY, target=part)
            await _say(file, http, window)
            await asyncio.sleep(began + window.ends * percent_s - time.monotonic())
            await _say(file, http, None)
            writer.note(EventKind.BROWN_OUT_OVER, by=BY, target=part)


async def _say(file: Path, http: httpx.AsyncClient, window: BrownOut | None) -> None:
    """Change the file at once, and wait until the stack does as it says."""
    text = RULE.format(str(window.interrupts).lower()) if window else ""
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.replace(file)
    limit = time.monotonic() + CHANGED_S
    while ((await http.get("/api/usage", params={"limit": 1})).json()["state"]["brown_out"] is None) is bool(window):
        if time.monotonic() > limit:
            raise CouldNotRun(f"the stack does not do as {file.name} says: {text or 'no brown-out'}")
        await asyncio.sleep(LOOK_S)
