"""Cassettes as the hub's own tests read them: events in order, and the marks that make two runs comparable."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent.parent / "scenarios" / "cassettes"
NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))

TIMES = frozenset({"timestamp", "created_at", "claimed_at", "completed_at", "connected_at", "last_heartbeat"})
CHOSEN = re.compile(r"job-(?:rest-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BY_CLOCK = re.compile(r"^(stats|ack|worker-status)-\d+$")


def events(name: str) -> list[dict[str, Any]]:
    lines = (FOLDER / f"{name}.jsonl").read_text().splitlines()
    return [spelled_out(json.loads(line)) for line in lines[1:]]


def spelled_out(value: Any) -> Any:
    match value:
        case {"$repeat": [unit, count]}:
            return unit * count
        case dict():
            return {key: spelled_out(item) for key, item in value.items()}
        case list():
            return [spelled_out(item) for item in value]
    return value


def line_of(event: dict[str, Any]) -> str | bytes:
    if "message" in event:
        return json.dumps(event["message"])
    text: str = event["text"]
    return ast.literal_eval(text) if text.startswith("b'") else text


class Ids:
    """Ids the hub chose, recorded and observed, one to one."""

    def __init__(self) -> None:
        self.observed: dict[str, str] = {}
        self.recorded: dict[str, str] = {}

    def bind(self, recorded: str, observed: str) -> None:
        pairs = zip(CHOSEN.findall(recorded), CHOSEN.findall(observed), strict=False)
        for old, new in pairs:
            if old not in self.observed and new not in self.recorded:
                self.observed[old], self.recorded[new] = new, old

    def to_observed(self, text: str) -> str:
        return CHOSEN.sub(lambda found: self.observed.get(found[0], found[0]), text)

    def to_recorded(self, text: str) -> str:
        return CHOSEN.sub(lambda found: self.recorded.get(found[0], found[0]), text)


def comparable(message: Any) -> str:
    """A message as text that differs only where the difference means something."""
    return json.dumps(unclocked(message), sort_keys=True, indent=1)


def unclocked(value: Any) -> Any:
    match value:
        case {"type": "chunked_message"}:
            return {**value, "message_id": "?", "message_hash": "?", "content": chunk_shape(value["content"])}
        case dict():
            return {key: "?" if is_time(key, item) else unclocked(item) for key, item in value.items()}
        case list():
            return [unclocked(item) for item in value]
        case str():
            return BY_CLOCK.sub(r"\1-?", value)
    return value


def is_time(key: str, value: Any) -> bool:
    return key in TIMES and value is not None


def chunk_shape(content: Any) -> Any:
    """A chunk without its clock, whose digits vary in number and so move every cut by a character or two."""
    if isinstance(content, str):
        content = {"$elided": {"length": len(content), "starts": content[:120], "ends": content[-40:]}}
    elided = content["$elided"]
    starts = re.sub(r'"timestamp":[0-9.]+', '"timestamp":?', elided["starts"])
    starts = starts[:90] if starts.startswith("{") else sorted(set(starts))
    return {"length": round(elided["length"], -2), "starts": starts, "ends": sorted(set(elided["ends"]))}


def actors(recorded: list[dict[str, Any]]) -> Iterator[str]:
    yield from dict.fromkeys(event["actor"] for event in recorded)
