"""Books of moves: what producers, workers and operators ask of the stack's queue, and what it answers, word for word.

    open {"lease_ms": 600000}              connect a puppet with these settings
    submit [{"id": "a"}]                   a move of `harness/workers/queue_puppet.py`, with what it says
    redis ZADD leases @-1 a                something done to Redis by hand, under the book's prefix
    record a {"state": "pending"}          put a record there by hand
    tally @h-5m10 [{"s": [[1, null, 5]]}]  have a minute's calls counted so: by service what, in which bucket, how often
    server CONFIG GET maxmemory            a command to Redis as it stands
    kick                                   have Redis close the connections that call themselves puppets
    clients                                the connections that call themselves puppets, and to which database
    keys wake:*                            the keys in Redis, all or like a pattern: kind, size, time to live

`@-700` is the moment 700 s ago in ms, `@h-5m10` the tenth minute of the hour five hours ago (its number since the
epoch), `@h-5m10ms` its ms; `$e3` the third event's id; `$(x*9)` nine x; `$[3: {"id": "j$i"}]$` three such with 0, 1
and 2; `3x MOVE` makes a move three times, with `$i` in it, and has each answer once. Times come back by how many
hundred seconds they lie ahead or behind, so that a slow machine changes nothing; ids of events by the order in which
they were seen; what is empty is left out.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import shlex
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from harness.testing.job_records import write_record
from scenarios.answer_books import difference, lines_of

FOLDER: Final = Path(__file__).parent / "moves"
ANSWER_S: Final = 60.0
LINE_LIMIT: Final = 32 * 1024 * 1024
LONGEST: Final = 12
"""Of a longer list the ends are shown, and how many there are between."""
ENDS: Final = 4
TEXT_LIMIT: Final = 400
SIZES: Final = {
    "string": "STRLEN",
    "zset": "ZCARD",
    "hash": "HLEN",
    "list": "LLEN",
    "set": "SCARD",
    "stream": "XLEN",
}
LEFT_OUT: Final = ("record:", "tall", "slot:", "sampled", "reaped_at")
TALLY_KINDS, NO_BUCKET = 256, 255
"""How the stack keeps what calls counted (`new_stack/queue/functions/shared/tally.lua`)."""
STEP_S: Final = 100
HUNDRED_S_MS: Final = 100_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
FAR_MS: Final = 400 * 24 * HOUR_MS
NOT_SHOWN: Final[tuple[object, ...]] = (None, [], {}, "")
DURATIONS: Final = ("writable",)
"""Moves that are answered with ms."""
VARIES: Final = frozenset({"used_bytes", "peak_bytes", "limit_bytes"})
_TIME: Final = re.compile(r"@(?:h(?P<hours>-\d+)m(?P<minutes>\d+)(?P<ms>ms)?|(?P<seconds>[+-]\d+))")
_TEXT: Final = re.compile(r"\$\((.)\*(\d+)\)")
_LIST: Final = re.compile(r"\$\[(\d+): (.*?)\]\$")
_TIMES: Final = re.compile(r"(\d+)x (.*)")
_EVENT: Final = re.compile(r"\b1\d{12}-\d+\b")
_NUMBER: Final = re.compile(r"(?<![\d.\w])1\d{12}(?![\d\w])")
_SECONDS: Final = re.compile(r"(?<![\d.\w])1\d{9}(?![\d\w.])")
_DAY: Final = re.compile(r'(?<="f": )\d{5}\b|(?<=")\d{5}(?=":)')
_UUID: Final = re.compile(r"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b")
_ISO: Final = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def books() -> list[str]:
    """The names of all books."""
    return sorted(path.stem for path in FOLDER.glob("*.moves"))


class Words:
    """Turns moments and ids of events into words that are the same in each run, and back."""

    def __init__(self) -> None:
        self._hour = int(time.time() * 1000) // HOUR_MS
        self._events: dict[str, str] = {}

    def said(self, text: str) -> str:
        """A line of the book as it is asked now."""
        now_ms = int(time.time() * 1000)

        def moment(match: re.Match[str]) -> str:
            if match["seconds"]:
                return str(now_ms + int(match["seconds"]) * 1000)
            minute = (self._hour + int(match["hours"])) * 60 + int(match["minutes"])
            return str(minute * 60_000 if match["ms"] else minute)

        ids = {word: entry for entry, word in self._events.items()}
        text = _TEXT.sub(lambda match: match[1] * int(match[2]), _LIST.sub(_list, text))
        return re.sub(r"\$(e\d+)", lambda match: ids[match[1]], _TIME.sub(moment, text))

    def heard(self, text: str, *, by_minute: bool = False, by_day: bool = False) -> str:
        """An answer as it stands in the book."""
        now_ms = time.time() * 1000

        def moment(match: re.Match[str]) -> str:
            ms = int(match[0])
            if abs(ms - now_ms) > FAR_MS:
                return match[0]
            if by_minute and ms % 60_000 == 0:
                minutes = ms // 60_000 - self._hour * 60
                return f"<h{minutes // 60}m{minutes % 60}>"
            return f"<{_hundreds((ms - now_ms) / 1000)} s>"

        def event(match: re.Match[str]) -> str:
            return f"<{self._events.setdefault(match[0], f'e{len(self._events) + 1}')}>"

        if by_day:
            text = _DAY.sub(lambda match: f"<day {int(match[0]) - int(now_ms) // DAY_MS}>", text)
            text = _SECONDS.sub(lambda match: f"<{_hundreds(int(match[0]) - now_ms / 1000)} s>", text)
        return _NUMBER.sub(moment, _EVENT.sub(event, _ISO.sub("<time>", _UUID.sub("<uuid>", text))))


def _list(match: re.Match[str]) -> str:
    between = ", " if match[2][0] in "{[" else " "
    return between.join(match[2].replace("$i", str(number)) for number in range(int(match[1])))


def _hundreds(seconds: float) -> str:
    """Ahead rounded up, behind rounded down: both stay as they are for 100 s. Up to a second ahead is now."""
    ahead = seconds > 1
    steps = math.ceil(seconds / STEP_S) if ahead else math.floor(max(0.0, -seconds) / STEP_S)
    return f"{'+' if ahead else '-'}{steps * STEP_S}"


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        shown: dict[str, Any] = {name: "…" if name in VARIES else _shown(one) for name, one in value.items()}
        if "example" in shown and shown.get("jobs", 0) > 1:
            shown["example"] = "one of them"
        if isinstance(left_ms := shown.get("timeout_ms"), int):
            shown["timeout_ms"] = math.ceil(left_ms / HUNDRED_S_MS) * HUNDRED_S_MS
        return {name: one for name, one in sorted(shown.items()) if one is not False and one not in NOT_SHOWN}
    if isinstance(value, list):
        found = [_shown(one) for one in value]
        if len(found) <= LONGEST:
            return found
        return [*found[:ENDS], f"{len(found) - 2 * ENDS} more", *found[-ENDS:]]
    if isinstance(value, str) and len(value) > TEXT_LIMIT:
        return f"{value[:20]}… {len(value)} characters …{value[-20:]}"
    return value


class Player:
    """Makes the moves of one book, on a prefix of its own."""

    def __init__(self, puppet: asyncio.subprocess.Process, redis: Redis, url: str, prefix: str) -> None:
        self._puppet = puppet
        self._redis = redis
        self._url = url
        self._host = urlsplit(url).netloc
        self._prefix = prefix
        self._words = Words()

    async def answers(self, asked: str) -> list[str]:
        """What one line is answered."""
        if many := _TIMES.fullmatch(asked):
            moves = [many[2].replace("$i", str(number)) for number in range(int(many[1]))]
            return list(dict.fromkeys([line for move in moves for line in await self.answers(move)]))
        word, _, rest = asked.partition(" ")
        match word:
            case "" | "#":
                return []
            case "redis":
                return [self._words.heard(str(await self._by_hand(rest)))]
            case "record":
                return [self._words.heard(str(await self._write_record(rest)))]
            case "tally":
                return [str(await self._tally(rest))]
            case "server":
                return [self._words.heard(str(_text(await self._ask_redis(shlex.split(rest)))))]
            case "kick":
                return [str(await self._kick())]
            case "clients":
                return await self._clients()
            case "keys":
                return await self._keys(rest or "*")
        return [await self._move(word, self._words.said(rest) or "{}")]

    async def _move(self, move: str, said: str) -> str:
        if move == "open":
            given = {"redis_url": "$url", "prefix": self._prefix} | json.loads(said)
            said = json.dumps(given).replace("$url", self._url).replace("$host", self._host)
        sender, receiver = self._puppet.stdin, self._puppet.stdout
        assert sender is not None
        assert receiver is not None
        sender.write(f'{{"move": "{move}", "says": {said}}}\n'.encode())
        line = await asyncio.wait_for(receiver.readline(), ANSWER_S)
        assert line, f"the puppet broke down at {move} {said[:200]}"
        answer = json.loads(line)
        if "error" in answer:
            return self._words.heard(f"refused {answer['error']}".replace(self._host, "<here>"))
        if move == "timeseries" and "until_ms" not in said:
            answer["answer"] = [_counted(one["total"]) for one in answer["answer"]["series"]]
        if move in DURATIONS and 0 <= answer["answer"] < HUNDRED_S_MS:
            answer["answer"] = "some ms"
        shown = json.dumps(_shown(answer["answer"]), ensure_ascii=False)
        return self._words.heard(shown, by_minute=move == "timeseries", by_day=move == "usage")

    async def _by_hand(self, rest: str) -> Any:
        name, key, *more = shlex.split(self._words.said(rest), posix=True)
        values = [value.encode("latin-1").decode("unicode_escape").encode("latin-1") for value in more]
        answer = _text(await self._ask_redis([name, f"{self._prefix}{key}", *values]))
        return f"{_hundreds(answer)} s" if name == "TTL" and answer >= 0 else answer

    async def _write_record(self, rest: str) -> Any:
        """Put a record there, in the place of any: its fields as JSON."""
        name, _, fields = self._words.said(rest).partition(" ")
        return await self._ask_redis(["SET", f"{self._prefix}record:{name}", write_record(json.loads(fields))])

    async def _tally(self, rest: str) -> Any:
        """Have the stack find what a minute's calls counted: by service what, in which bucket, how often."""
        minute, _, said = self._words.said(rest).partition(" ")
        key = f"{self._prefix}tally:{minute}"
        for call in json.loads(said):
            counted = {service: {_tally_key(*one[:2]): one[2] for one in row} for service, row in call.items()}
            await self._ask_redis(["APPEND", key, msgspec.msgpack.encode(counted)])
        return await self._ask_redis(["ZADD", f"{self._prefix}tallies", minute, minute])

    async def _ask_redis(self, words: list[Any]) -> Any:
        call: Any = self._redis.execute_command  # it has no types
        try:
            return await call(*words)
        except RedisError as refused:
            return f"refused {refused}"

    async def _puppets(self) -> list[dict[str, str]]:
        return [row for row in await self._redis.client_list() if row["name"].startswith("puppet")]

    async def _clients(self) -> list[str]:
        """The connections that call themselves puppets: names, databases and users."""
        return sorted({f"{row['name']} {row['db']} {row['user']}" for row in await self._puppets()})

    async def _kick(self) -> int:
        """Have Redis close the connections that call themselves puppets; how many."""
        rows = await self._puppets()
        for row in rows:
            await self._ask_redis(["CLIENT", "KILL", "ID", row["id"]])
        return len(rows)

    async def _keys(self, pattern: str) -> list[str]:
        """The keys but those of records and of what is counted by the minute."""
        found = sorted([key async for key in self._redis.scan_iter(match=f"{self._prefix}{pattern}", count=1000)])
        keys = [key for key in found if not key.decode().removeprefix(self._prefix).startswith(LEFT_OUT)]
        async with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.type(key)
            kinds = [kind.decode() for kind in await pipe.execute()]
            for key, kind in zip(keys, kinds, strict=True):
                pipe.execute_command(SIZES[kind], key)
                pipe.pttl(key)
            facts = await pipe.execute()
        return [
            f"{self._words.heard(key.decode().removeprefix(self._prefix))} {kind} {size}"
            + (f" {_hundreds(left / 1000)} s" if left >= 0 else "")
            for key, kind, size, left in zip(keys, kinds, facts[::2], facts[1::2], strict=True)
        ]


def _tally_key(what: int, bucket: int | None) -> int:
    return what * TALLY_KINDS + (NO_BUCKET if bucket is None else bucket)


def _counted(total: dict[str, Any]) -> dict[str, Any]:
    """What was counted in a range that goes on: and of how long things took, by how many hundred seconds."""
    names = ("wait_ms", "run_ms")
    durations = {name: [total[name]["count"], (total[name]["p50"] or 0) // HUNDRED_S_MS] for name in names}
    return total | durations | {"at": 0}


def _text(value: Any) -> Any:
    if isinstance(value, list | set):
        return [_text(one) for one in (sorted(value) if isinstance(value, set) else value)]
    if isinstance(value, dict):
        return {_text(name): _text(one) for name, one in value.items()}
    if not isinstance(value, bytes):
        return value
    text = value.decode("latin-1")
    return text if text.isprintable() else text.encode("unicode_escape").decode()


@asynccontextmanager
async def player(url: str, prefix: str, path: str) -> AsyncIterator[Player]:
    """A player, with a puppet of the stack that comes first on the path."""
    environment = dict(os.environ) | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    puppet = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "harness.workers.queue_puppet"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        limit=LINE_LIMIT,
    )
    try:
        async with Redis.from_url(url) as redis:
            yield Player(puppet, redis, url, prefix)
    finally:
        if puppet.returncode is None:
            puppet.kill()
        await puppet.wait()


async def played(text: str, player: Player, *, compare: bool) -> str:
    """The book with what is answered. With `compare` raises AssertionError at the first answer that is another."""
    lines = []
    for asked, below in lines_of(text):
        found = await player.answers(asked)
        if compare:
            assert found == below, difference(asked, below, found)
        lines += [asked, *(f"  {one}" for one in found)]
    return "".join(f"{line}\n" for line in lines)
