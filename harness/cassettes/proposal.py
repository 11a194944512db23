"""A first description of a protocol, written from a recording: each kind of frame with its likely meaning.

It reads words as a newcomer would (`submit_job` submits). What it cannot tell is a comment there, with an example.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from harness.cassettes.events import Cassette, Event, Open, Receive, Request, Response, Role, Send
from harness.protocols import EventKind
from harness.results.formatting import plural

ACTIONS: Final = {
    "submit": ("submit", "enqueue", "create"),
    "cancel": ("cancel", "abort"),
    "retry": ("retry",),
    "follow": ("subscribe", "follow", "watch"),
    "ask": ("status", "get_job", "query"),
}
"""Words in what a client sends, the most telling first."""
NO_ACTION: Final = ("unsubscribe", "stats", "heartbeat")
MEANINGS: Final = {
    EventKind.PROGRESS: ("progress",),
    EventKind.ACCEPTED: ("accept", "submitted", "enqueued", "created"),
    EventKind.SUBSCRIBED: ("subscri",),
    EventKind.CLAIMED: ("assigned", "claimed", "processing", "started"),
    EventKind.COMPLETED: ("complete", "finished", "done"),
    EventKind.ATTEMPT_FAILED: ("fail",),
    EventKind.CANCELLED: ("cancel",),
}
PLACES: Final = {
    "priority": ("priority",),
    "service": ("job_type", "service_required", "service", "queue", "task"),
    "payload": ("payload", "params", "input", "args"),
    "reason": ("reason",),
    "job_id": ("job_id", "jobId", "message_id", "id"),
}
"""The names under which a client's frames carry what is filled in."""
MOST_SUCCESSFUL: Final = 300
MS_FROM: Final = 1e11
"""A time that is larger is told in ms."""
SHOWN: Final = 100
MOST: Final = 8
"""Examples of what streams told."""


def proposed(cassette: Cassette) -> str:
    """The text of a protocol file."""
    clients = {event.actor for event in cassette.events if isinstance(event, Open) and event.role is Role.CLIENT}
    sent = _by_type([event.content for event in cassette.events if isinstance(event, Send) and event.actor in clients])
    told = _by_type(
        [event.content for event in cassette.events if isinstance(event, Receive) and event.actor in clients]
    )
    head = [
        f"# A first description of what was said in the recording {cassette.name}: correct it (docs/your-own.md).",
        'name = "mine"',
        *_socket(cassette.events),
        "told = true  # whether who submits a job is told of it without asking",
        *_times(told),
    ]
    by_request = {} if any(_meaning(kind, ACTIONS) == "submit" for kind in sent) else _by_request(cassette.events)
    parts = [head, *_actions(sent, told), *by_request.values(), *_requests(cassette.events), *_rules(told), [WORKER]]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


WORKER: Final = """\
# How one worker is started, so that the gate has jobs done. Its jobs carry a script: {"simulate": [{"progress": 40},
# {"sleep_ms": 50}, {"fail": "text", "attempts": 1}, {"result": {}}]}; a connector of yours plays it step by step.
# [worker]
# command = ["{python}", "-m", "my_worker"]
# environment = { QUEUE = "{redis}", WORKER_ID = "{worker_id}", SERVICES = "{services}" }
# ready = "a text in its output that says that it waits for work\""""


def _socket(events: Sequence[Event]) -> list[str]:
    opened = next((event for event in events if isinstance(event, Open) and event.role is Role.CLIENT), None)
    if opened is None:
        return []
    path, _, query = opened.path.partition("?")
    base, _, own = path.rpartition("/")
    found = [f"socket = {_toml(f'{base}/{{client}}' if own else path)}  # {{client}} is a name of the client's own"]
    return [*found, 'token = "token"'] if "token=" in query else found


def _times(told: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    for frame in (frame for frames in told.values() for frame in frames):
        for name in ("timestamp", "time", "at"):
            value = frame.get(name)
            if value is not None:
                unit = "iso" if isinstance(value, str) else "ms" if value > MS_FROM else "s"
                return [f"times = {{ at = {_toml(name)}, unit = {_toml(unit)} }}"]
    return []


def _actions(sent: Mapping[str, list[dict[str, Any]]], told: Mapping[str, list[dict[str, Any]]]) -> Iterator[list[str]]:
    """What clients send; of each action the first kind of frame that seems to be it."""
    taken = set[str]()
    for kind, frames in sent.items():
        action = _meaning(kind, ACTIONS) if not any(word in kind for word in NO_ACTION) else None
        if action is None or action in taken:
            yield [f"# A client sends `{kind}`, {plural(len(frames), 'time')}: {_example(frames[0])}"]
            continue
        taken.add(action)
        lines = [f"# {plural(len(frames), 'time')}: {_example(frames[0])}", f"[{action}.send]"]
        lines += [f"{name} = {_toml(value)}" for name, value in _template(frames[0], action).items()]
        answer = next((name for name in told if "status" in name), None) if action == "ask" else None
        yield lines
        if answer:
            yield ["[ask.answer]", f"type = {_toml(answer)}"]


def _template(frame: Mapping[str, Any], action: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in frame.items():
        place = next((place for place, names in PLACES.items() if name in names), None)
        if name in {"timestamp", "time", "at"} and isinstance(value, int | float):
            found[name] = "{now_ms}" if value > MS_FROM else "{now}"
        elif name != "type" and place is not None:
            found[name] = f"{{{place}}}"
        elif isinstance(value, dict):
            found[name] = _template(value, action)
        else:
            found[name] = value
    return found


def _by_request(events: Sequence[Event]) -> dict[str, list[str]]:
    """Where a job is submitted by a request: that request, and what is asked of the job that it was answered with."""
    found: dict[str, list[str]] = {}
    asked: Request | None = None
    job_id = ""
    for event in events:
        if isinstance(event, Response) and asked is not None and isinstance(event.body, dict):
            job_id = next((str(event.body[name]) for name in PLACES["job_id"] if event.body.get(name)), "")
            if job_id and event.status < MOST_SUCCESSFUL:
                body = _toml(_template(asked.body, "submit"))
                found["submit"] = ["[submit]", f"request = {_toml(f'POST {asked.path}')}", f"body = {body}"]
            asked = None
        elif isinstance(event, Request) and event.method == "POST" and isinstance(event.body, dict) and not found:
            asked = event
        elif isinstance(event, Open) or (isinstance(event, Request) and event.method == "GET"):
            path = event.path.partition("?")[0]
            name = "ask" if path.endswith(job_id) and isinstance(event, Request) else "follow"
            if found and job_id in path:
                said = _toml(f"GET {path.replace(job_id, '{job_id}')}")
                found.setdefault(name, [f"[{name}]", f"request = {said}"])
    return found


def _requests(events: Sequence[Event]) -> Iterator[list[str]]:
    seen = dict[str, Request]()
    for event in events:
        if isinstance(event, Request):
            seen.setdefault(f"{event.method} {event.path.partition('?')[0]}", event)
    streams = {event.actor: event.path for event in events if isinstance(event, Open) and event.role is Role.SSE}
    told = (event for event in events if isinstance(event, Receive) and event.actor in streams)
    shapes = {_example(event.content.get("data")): event for event in told if isinstance(event.content, dict)}
    if shapes:
        yield [
            "# Streams of events told; [follow] is such a request, and [[events]] say what the data mean.",
            *(f"# GET {streams[event.actor]}: {data}" for data, event in list(shapes.items())[:MOST]),
        ]
    if seen:
        yield [
            '# Requests that were made; an action may be one: request = "POST /api/jobs" and a body.',
            *(f"# {name}{': ' + _example(event.body) if event.body else ''}" for name, event in seen.items()),
        ]


def _rules(told: Mapping[str, list[dict[str, Any]]]) -> Iterator[list[str]]:
    """What clients are told: kinds of frames, and of those with a status, each status that seems to mean something."""
    for kind, frames in told.items():
        meaning = _meaning(kind, MEANINGS)
        lines = [f"# `{kind}`, {plural(len(frames), 'time')}: {_example(frames[0])}"]
        if meaning is not None:
            yield [*lines, "[[events]]", f"kind = {_toml(meaning.value)}", f"when = {{ type = {_toml(kind)} }}"]
            continue
        states = dict.fromkeys(str(frame["status"]) for frame in frames if isinstance(frame.get("status"), str))
        known = {state: _meaning(state, MEANINGS) for state in states if state in {"processing", "cancelled"}}
        for state, found in known.items():
            if found is not None:
                when = f"{{ type = {_toml(kind)}, status = {_toml(state)} }}"
                lines += ["[[events]]", f"kind = {_toml(found.value)}", f"when = {when}"]
        yield lines


def _meaning(word: str, meanings: Mapping[Any, Sequence[str]]) -> Any:
    return next((one for one, words in meanings.items() if any(part in word.lower() for part in words)), None)


def _by_type(contents: Sequence[Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for content in contents:
        if isinstance(content, dict) and isinstance(content.get("type"), str):
            found.setdefault(content["type"], []).append(content)
    return found


def _example(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_toml(part)}' for name, part in value.items() if part is not None)} }}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(part) for part in value if part is not None)}]"
    return json.dumps(value)
