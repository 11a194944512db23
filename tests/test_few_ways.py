"""How many places open a WebSocket or read server-sent events: each more is a client of its own to keep right."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import pytest

from tests.test_imports import FOLDERS, ROOT

OPENERS = {
    "new_stack/worker/connectors/http.py",
    "new_stack/client/legacy_connection.py",
    "harness/clients/transport.py",
    "loadtests/transport.py",
    "harness/faults/network.py",
    "scenarios/test_slow_readers.py",
}
"""The stack's connectors and its client, the harness's shell and Locust's; two that hardly read, with bare sockets."""
READERS = {
    "new_stack/client/event_stream.py",
    "harness/clients/transport.py",
    "harness/cassettes/record/recorder.py",
    "loadtests/transport.py",
}
PARSERS = {"new_stack/client/event_stream.py", "harness/protocols/sse.py"}
"""The stack's own, and the harness's: one that both had would hide its mistakes from the gate."""
FORMAT = "scenarios/test_streams.py"
"""States what a frame may hold, letter by letter: a parser forgives."""

LIBRARIES = ("websockets", "websocket")
"""The modules, beside aiohttp with its `ws_connect`, whose `connect` or `create_connection` opens a WebSocket."""
FIELDS = {"data", "id", "event"}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def texts(node: ast.AST) -> set[str]:
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def called(tree: ast.AST) -> set[str]:
    """What is called, as it is written: `websockets.connect`, `self.session.ws_connect`."""
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def imported(tree: ast.AST) -> set[str]:
    """Names that come from a library of WebSockets."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {
        alias.asname or alias.name
        for node in nodes
        if (node.module or "").partition(".")[0] in LIBRARIES
        for alias in node.names
    }


def opens(tree: ast.AST) -> bool:
    """Whether it opens a WebSocket, by a library or by hand."""
    plain = {"connect", "unix_connect", "create_connection", "WebSocketApp"}
    by_library = {f"{library}.{name}" for library in LIBRARIES for name in plain} | (plain & imported(tree))
    calls = called(tree)
    by_hand = any("Upgrade: websocket" in text for text in texts(tree))
    return by_hand or bool(calls & by_library) or any(name.endswith(".ws_connect") for name in calls)


def reads(tree: ast.AST) -> bool:
    """Whether it gives what came to a parser of server-sent events, or has a library do it."""
    fed = {name.rpartition(".")[0] for name in called(tree) if name.endswith((".feed", ".feed_line"))}
    return any("parser" in name or name == "reader" for name in fed) or "httpx_sse" in ast.unparse(tree)


def parses(tree: ast.AST) -> bool:
    """Whether a function tells the fields of a stream's lines apart."""
    return any(
        texts(function) >= FIELDS and any(name.endswith((".partition", ".split")) for name in called(function))
        for function in functions(tree)
    )


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.AST]:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def test_six_places_open_a_websocket(trees: Mapping[str, ast.AST]) -> None:
    assert {file for file, tree in trees.items() if opens(tree)} == OPENERS
    assert len(OPENERS) <= 6, "a new client goes by one of these"


def test_four_places_read_event_streams_by_two_parsers(trees: Mapping[str, ast.AST]) -> None:
    assert {file for file, tree in trees.items() if reads(tree)} == READERS
    assert {file for file, tree in trees.items() if parses(tree)} - {FORMAT} == PARSERS
    assert (len(READERS), len(PARSERS)) <= (4, 2)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (opens, "import websockets\nasync def f():\n    await websockets.connect('ws://x')"),
        (opens, "from websockets.sync.client import connect\nwith connect('ws://x'): ..."),
        (opens, "import websocket\nwebsocket.create_connection('ws://x')"),
        (opens, "async def f(session):\n    await session.ws_connect('ws://x')"),
        (opens, "HEAD = ['GET / HTTP/1.1', 'Upgrade: websocket']"),
        (reads, "def f(self, data):\n    yield from self._parser.feed(data)"),
        (reads, "from httpx_sse import aconnect_sse"),
        (parses, "def f(line):\n    k, _, v = line.partition(':')\n    return {'data': v, 'id': v, 'event': v}[k]"),
    ],
)
def test_the_rules_see_one_more(rule: object, text: str) -> None:
    assert callable(rule)
    assert rule(ast.parse(text))
