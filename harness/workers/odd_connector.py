"""A worker's connector that does what few do: odd results, errors of all kinds, reports in a row, requests, staying on.

It is the harness's code in the stack's process, as `scripted_connector` is.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from new_stack.worker import Connector, JobContext, JobFailed

CLASS: Final = f"{__name__}:OddConnector"
DEPTH: Final = 60
"""How deep in calls the error of `deep` is raised."""


class Elsewhere(Exception):  # noqa: N818 - its name is what is looked for
    """An error of a module's own."""


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A result that is no plain data, with keys that are no text."""

    printed: dict[dt.date, str]


def _endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def _nested() -> list[Any]:
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


RESULTS: Final[Mapping[str, Callable[[], Any]]] = {
    "nothing": lambda: None,
    "not a number": lambda: {"value": float("nan")},
    "bytes": lambda: {"value": b"x"},
    "a bytearray": lambda: {"value": bytearray(b"x")},
    "a memoryview": lambda: {"value": [memoryview(b"x")]},
    "bytes in a set": lambda: {"value": {(1, b"x")}},
    "a moment": lambda: {"value": dt.datetime(2001, 2, 3, 4, 5, 6, tzinfo=dt.UTC), "text": "ä"},
    "a sheet": lambda: Sheet({dt.date(2001, 2, 3): "ä"}),
    "an object": lambda: {"value": object()},
    "a surrogate": lambda: "\ud800",
    "itself": _endless,
    "nested": _nested,
    "a failure": lambda: {"success": False, "error": "no ink", "message": "late"},
    "a failed status": lambda: {"status": "failed", "message": "late"},
    "an error status": lambda: {"status": "error"},
    "a failure in parts": lambda: {"success": False, "error": {"code": 5, "at": dt.date(2001, 2, 3)}},
    "another status": lambda: {"status": "drying"},
    "a number for a status": lambda: {"status": 5, "error": "none"},
    "no word of success": lambda: {"success": None, "error": "none"},
    "a text": lambda: "failed",
}
"""What is returned, by the word that the payload says."""


def _raise_deep(depth: int) -> None:
    if depth == 0:
        raise ValueError("deep")
    _raise_deep(depth - 1)


class OddConnector(Connector):
    """Does what the payload's `does` says."""

    async def close(self) -> None:
        """Say so in the log."""
        sys.stderr.write("the odd connector is closed\n")

    def capabilities(self) -> dict[str, Any]:
        """Some that an operator may overrule, and some that nobody else has."""
        return {"models": ["ink"], "components": ["brush"], "paper": "A4"}

    async def run(self, job: JobContext) -> Any:
        """Do it."""
        does = job.payload["does"]
        if does in RESULTS:
            return RESULTS[does]()
        return await getattr(self, f"_{does}")(job)

    async def _tell(self, job: JobContext) -> Any:
        """What the context says of the job."""
        return {
            "payload is read once": job.payload is job.payload,
            "service": job.service,
            "attempt": job.attempt,
            "failures": job.failures,
            "extra": job.extra,
            "does": job.payload["does"],
        }

    async def _report(self, job: JobContext) -> None:
        """Reports in a row, of which the newest unsent ones count, between lines of the log."""
        for percent in (10, 20, 30):
            job.report(percent, f"at {percent}")
        job.log("first", "warning")
        job.report(40)
        job.report(50)
        await job.progress(60)
        job.report(70)
        await asyncio.sleep(0.2)
        job.report(80, status="drying")
        job.report(90, details={"layer": 2})

    async def _bounds(self, job: JobContext) -> list[str]:
        """Progress at its bounds, and beyond them."""
        said = []
        for percent in (-1, 100, -1.5, 100.5):
            try:
                await job.progress(percent)
            except ValueError as error:
                said.append(str(error))
        return said

    async def _ask(self, job: JobContext) -> None:
        """Requests to a back end, as monitors are shown them."""
        job.asks("GET", "http://user:secret@back.example:8188?token=secret")
        for size in (2_046, 2_047):  # two quotation marks beside
            job.asks("POST", "https://back.example/prompt?client=1#part", "x" * size, request_type="websocket")

    async def _raise(self, job: JobContext) -> None:
        """An error, of the kind that the payload names."""
        kind = job.payload["kind"]
        if kind == "builtin":
            raise ValueError("no paper")
        if kind == "silent":
            raise Elsewhere
        if kind == "caused":
            raise JobFailed("the printer failed") from Elsewhere("no ink")
        if kind == "for good":
            raise JobFailed("never again", retryable=False)
        if kind == "called off":
            raise asyncio.CancelledError
        if kind == "exit":
            raise SystemExit(3)
        if kind == "long":
            raise ValueError("x" * 9_000)
        _raise_deep(DEPTH)

    async def _stay(self, job: JobContext) -> str:
        """Go on for a while though it is called off."""
        await job.progress(10)
        ends_at = asyncio.get_running_loop().time() + job.payload["s"]
        while (left := ends_at - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                await job.progress(20)
        return "stayed"
