"""Books of answers: what the stack is asked, line by line, and below each line what it answers, word for word.

    worker w1 services=draw                    start a worker of that name; what is in capitals are settings
    refused new_stack.worker WORKER_ID=w*201   start a process that is set up wrongly: its status and last line;
                                               `--options` may stand before, and `w*201` is a w 201 times
    kill w1                                    kill it; `stop w1` ends it in order
    POST /api/jobs {"id": "a"}                 ask; headers may stand between: `<Name: value>`
    until GET /api/jobs/a status=completed     ask until the answer has that (`=*`: anything)
    follow /api/jobs/a/progress                all events of a stream until its end; `follow 3 /…`: so many
    socket alice /ws/client/alice              connect
    alice says {"type": "submit_job"}          a frame; bare text is sent as it stands
    alice hears complete_job                   all frames up to the first of that type, or so many
    alice leaves                               close the connection
    library kim mode=http                      make a client of the stack's own library, with these options
    kim submit ["draw", {}] {"priority": 3}    call a method of it, with these arguments and options
    deprecation legacy = false                 change the file that HUBGATE_DEPRECATION_FILE={file} names

What nobody can know beforehand is masked: times by where they lie, ids of events, what memory and moments take. Nulls
and what the clock alone brings about are left out. `pytest scenarios -k books --write-books` writes the answers down
anew; then they have to be read.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, Final

import httpx
import websockets

from harness.clients import ModernClient
from harness.clients.transport import HandshakeRefused, open_websocket
from harness.processes import Process
from harness.processes.services import python_path
from harness.processes.warm_pool import WarmStarts
from harness.testing import TooLate
from scenarios.answer_masks import CLOCKS_APART_MS, header, masked, shown
from scenarios.library import Library, library
from scenarios.stacks import OwnStack

AGENT: Final = "a reader of books"
FOLDER: Final = Path(__file__).parent / "books"
STEP_S: Final = 15.0
WRITING_S: Final = 4.0
LOOK_S: Final = 0.03
MINUTES_END_S: Final = 0.5
HEADERS: Final = (
    *("location", "allow", "retry-after", "deprecation", "sunset", "link", "www-authenticate", "etag", "cache-control"),
    *("access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers"),
    *("access-control-expose-headers", "access-control-max-age", "vary", "connection", "set-cookie"),
    *("content-security-policy", "referrer-policy", "x-content-type-options", "content-disposition"),
)
_REPEATED: Final = re.compile(r"(\w)\*(\d+)")
NOT_SHOWN: Final = ("#", "hubgate_jobs_unserved")
UNASKED: Final = ("stats_broadcast", "ack", "system_status", "heartbeat")
"""Frames that come by the clock."""


def books() -> list[str]:
    """The names of all books."""
    return sorted(path.stem for path in FOLDER.glob("*.book"))


def lines_of(text: str) -> Iterator[tuple[str, list[str]]]:
    """What is asked, each with what stands below it."""
    asked: str | None = None
    below: list[str] = []
    for line in text.splitlines():
        if line.startswith("  "):
            below.append(line.strip())
            continue
        if asked is not None:
            yield asked, below
        asked, below = line, []
    if asked is not None:
        yield asked, below


class Player:
    """Asks a stack what a book asks."""

    def __init__(
        self, stack: OwnStack, file: Path, http: httpx.AsyncClient, client: ModernClient, patience_s: float
    ) -> None:
        self._stack = stack
        self._file = file
        self._http = http
        self._client = client
        self._patience_s = patience_s
        self._workers: dict[str, Process] = {}
        self._sockets: dict[str, websockets.ClientConnection] = {}
        self._library: Library | None = None
        self._names: set[str] = set()
        """Of sockets, and of clients of the library."""
        self._starts: WarmStarts | None = None

    async def answers(self, asked: str, opened: AsyncExitStack) -> list[str]:
        """What one line is answered, masked."""
        word, _, rest = asked.partition(" ")
        async with asyncio.timeout(2 * self._patience_s):
            match word:
                case "" | "#":
                    return []
                case "worker":
                    return await self._start_worker(*rest.split())
                case "refused":
                    return await self._refused(opened, *rest.split())
                case "kill" | "stop":
                    return await self._end_worker(rest, kill=word == "kill")
                case "until":
                    return await self._until(rest)
                case "follow":
                    return await self._follow(rest)
                case "deprecation":
                    return _put(rest, self._file)
                case "socket":
                    return await self._connect(opened, *rest.split())
                case "library":
                    return await self._open_client(opened, *rest.split())
            return await (self._by_name(word, rest) if word in self._names else self._ask(asked))

    async def _start_worker(self, name: str, *settings: str) -> list[str]:
        pairs = dict(setting.split("=", 1) for setting in settings)
        environment = {key: value for key, value in pairs.items() if key.isupper()}
        connector = f"{pairs.get('connector', 'simulation')}:services={pairs.get('services', '*')}"
        places, poll_ms = int(pairs.get("places", "1")), int(pairs.get("poll_ms", "0"))
        launch = self._stack.deployment.worker_launch(
            name, concurrency=places, connector=connector, poll_ms=poll_ms or None, environment=environment
        )
        [self._workers[name]] = await self._stack.deployment.astart_workers([launch])
        return []

    async def _connect(self, opened: AsyncExitStack, name: str, path: str) -> list[str]:
        try:
            connection = await open_websocket(f"{self._stack.ws_url}{path}", headers={"User-Agent": AGENT})
        except HandshakeRefused as refused:
            return [f"refused {refused.status}"]
        self._sockets[name] = await opened.enter_async_context(connection)
        self._names.add(name)
        return []

    async def _open_client(self, opened: AsyncExitStack, name: str, *options: str) -> list[str]:
        if self._library is None:
            path = python_path(self._stack.deployment.setup.overlay)
            self._library = await opened.enter_async_context(library(path))
        given: dict[str, Any] = dict(option.split("=", 1) for option in options)
        given |= {"blocking": True} if "blocking" in given else {}
        await self._library.open(name, self._stack.http_url, **given)
        self._names.add(name)
        return []

    async def _by_name(self, name: str, rest: str) -> list[str]:
        if name not in self._sockets and self._library is not None:
            return [shown(one) for one in await self._library.asked(name, rest)]
        does, _, what = rest.partition(" ")
        if does == "leaves":
            self._names.discard(name)
            await self._sockets.pop(name).close()
            return []
        return await (self._says(name, what) if does == "says" else self._hears(name, what))

    async def _refused(self, opened: AsyncExitStack, module: str, *given: str) -> list[str]:
        """How a process of the stack ends that is set up wrongly: its status, and the last line that it says."""
        given = tuple(_REPEATED.sub(lambda found: found[1] * int(found[2]), text) for text in given)
        environment = self._environment() | dict(one.split("=", 1) for one in given if not one.startswith("-"))
        if self._starts is None:
            self._starts = WarmStarts(self._environment())
            opened.callback(self._starts.close)
        options = [option for option in given if option.startswith("-")]
        status, said = await asyncio.to_thread(self._starts.run, module, options, environment)
        return [f"{status} {masked(said.rstrip().rpartition(chr(10))[2])}".rstrip()]

    def _environment(self) -> dict[str, str]:
        setup, target = self._stack.deployment.setup, self._stack.target
        environment = dict(os.environ) | {"PYTHONPATH": python_path(setup.overlay)}
        return environment | {"REDIS_URL": getattr(target, "redis_url", ""), "API_PORT": "0"}

    async def _end_worker(self, name: str, *, kill: bool) -> list[str]:
        worker = self._workers.pop(name)
        await asyncio.to_thread(worker.kill if kill else worker.stop)
        return []

    async def _until(self, asked: str) -> list[str]:
        method, url, wanted = asked.split(" ", 2)
        question = f"{method} {url}"
        path, _, value = wanted.partition("=")
        answer, found = None, None
        try:
            async with asyncio.timeout(1.5 * self._patience_s):
                while str(found) != value and (value != "*" or found is None):
                    await asyncio.sleep(LOOK_S if answer else 0)
                    answer = await self._response(question)
                    found = _at(answer.json(), path)
        except TimeoutError:
            last = f"{answer.status_code} {masked(answer.text)[:300]}" if answer else "none"
            raise TooLate(f"until {asked}: it came to {found!r}; the last answer was {last}") from None
        return []

    async def _follow(self, rest: str) -> list[str]:
        count, _, path = rest.rpartition(" ")
        path, _, last = path.partition("#")
        found: list[str] = []
        async with aclosing(self._client.events(path, last_event_id=last)) as stream:
            async for event in stream:
                found.append(f"{event.kind} {shown(event.data)}")
                if len(found) == int(count or 0):
                    break
        return found

    async def _says(self, name: str, what: str) -> list[str]:
        await self._sockets[name].send(what)
        return []

    async def _hears(self, name: str, kind: str) -> list[str]:
        heard: list[str] = []
        while True:
            try:
                async with asyncio.timeout(self._patience_s):
                    frame = json.loads(await self._sockets[name].recv())
            except TimeoutError:
                return [*heard, "silence"]
            except websockets.ConnectionClosed as closed:
                why = closed.rcvd
                return [*heard, masked(f"closed {why.code} {why.reason}".strip()) if why else "closed"]
            if frame["type"] in UNASKED and frame["type"] != kind:
                continue
            heard.append(shown(frame))
            if frame["type"] == kind or str(len(heard)) == kind:
                return heard

    async def _ask(self, asked: str) -> list[str]:
        return _told(await self._response(asked))

    async def _response(self, asked: str) -> httpx.Response:
        method, path, rest = (*asked.split(" ", 2), "", "")[:3]
        headers: dict[str, str] = {}
        while rest.startswith("<"):
            header, _, rest = rest[1:].partition(">")
            name, _, value = header.partition(": ")
            headers[name] = value
            rest = rest.lstrip()
        if rest:
            headers.setdefault("Content-Type", "application/json")
        headers.setdefault("User-Agent", AGENT)
        return await self._http.request(method, path, content=rest.encode(), headers=headers)


def _put(text: str, file: Path) -> list[str]:
    """Change a file at once, as an operator does."""
    beside = file.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)
    return []


def _told(answer: httpx.Response) -> list[str]:
    headers = "".join(f" {name}: {header(answer.headers[name])};" for name in HEADERS if name in answer.headers)
    kind = answer.headers.get("content-type", "")
    assert answer.headers["server"] == "hubgate", f"{answer.request.method} {answer.request.url}"
    assert abs(int(answer.headers["hubgate-time"]) - time.time() * 1000) < CLOCKS_APART_MS, "by Redis's clock"
    assert (kind == "application/problem+json") == ("json" in kind and answer.status_code >= httpx.codes.BAD_REQUEST)
    if "jsonl" in kind:
        return [
            f"{answer.status_code}{headers} {kind}",
            *(shown(json.loads(line)) for line in answer.text.splitlines()),
        ]
    body = shown(answer.json()) if "json" in kind and answer.content else kind
    lines = answer.text.splitlines() if "version=0.0.4" in kind else []
    return [
        f"{answer.status_code}{headers} {body}".rstrip(),
        *(_metric(line) for line in lines if not line.startswith(NOT_SHOWN)),
    ]


def _metric(line: str) -> str:
    """A line of a page for Prometheus, without how long things took."""
    name, _, value = line.rpartition(" ")
    is_duration = "_seconds_" in name and 'le="+Inf"' not in name and "_count" not in name
    varies = is_duration or name.endswith('{direction="out",role="monitor"}')
    return f"{name} {'<number>' if varies else value}"


def _at(value: Any, path: str) -> Any:
    """What stands at `queue.pending`; of a list, how many there are at `jobs.#`."""
    for part in path.split("."):
        if part == "#":
            return len(value)
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
    return value


async def played(text: str, stack: OwnStack, file: Path) -> str:
    """The book with what this stack answers, `file` being the one that it may change.

    Raises AssertionError at the first answer that differs from the book's.
    """
    return "".join([line async for line in _played(text, stack, file, compare=True)])


async def written(text: str, stack: OwnStack, file: Path) -> str:
    """The book with what this stack answers, whatever stood there."""
    return "".join([line async for line in _played(text, stack, file, compare=False)])


async def _played(text: str, stack: OwnStack, file: Path, *, compare: bool) -> Any:
    async with AsyncExitStack() as opened:
        http = await opened.enter_async_context(stack.http())
        client = await opened.enter_async_context(stack.modern())
        player = Player(stack, file, http, client, STEP_S if compare else WRITING_S)
        for asked, below in lines_of(text):
            await _out_of_a_minutes_end()
            try:
                found = await player.answers(asked, opened)
            except (TimeoutError, httpx.HTTPError, OSError, ValueError) as error:
                if compare:
                    is_late = isinstance(error, TimeoutError | httpx.TimeoutException)
                    wrong = TooLate if is_late else AssertionError
                    raise wrong(f"{asked}: {type(error).__name__} {error}") from error
                found = [f"!! {type(error).__name__} {error}"]
            if compare:
                assert found == below, difference(asked, below, found)
            yield "".join(f"{line}\n" for line in (asked, *(f"  {one}" for one in found)))


async def _out_of_a_minutes_end() -> None:
    """Brown-outs end with a minute: one that ends while its answer is on the way would be told as past."""
    left = 60 - time.time() % 60
    if left < MINUTES_END_S:
        await asyncio.sleep(left)


def difference(asked: str, below: list[str], found: list[str]) -> str:
    """The first line of an answer that is not the book's, from a little before where they part."""
    for number, line in enumerate(found):
        book = below[number] if number < len(below) else "nothing"
        if book != line:
            at = next((at for at, (one, other) in enumerate(zip(book, line, strict=False)) if one != other), 0)
            begin = max(0, at - 40)
            return f"{asked[:90]}: answered …{line[begin : at + 90]}… and not …{book[begin : at + 90]}…"
    return f"{asked[:90]}: after {len(found)} lines nothing more, and not {below[len(found)][:120]}"
