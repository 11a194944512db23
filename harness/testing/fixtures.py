"""What a failure shows, and the fixtures:

`hub`, `stack`, `target`, `legacy_client`, `modern_client`, `monitor`, `nemesis`, `cassette`, `protocol_side`,
`protocol_client`.

They stand on fixtures whose names begin with `hubgate_` or `_hubgate_`: one of a user's own may have any other name.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pytest
import pytest_asyncio

from harness.cassettes import Event, Open, Receive, Role, Send
from harness.cassettes.replay.files import Against, CassetteResult, judged, play_file
from harness.clients import LegacyClient, ModernClient, Monitor, RecordingSocket
from harness.clients.recognition import recognise
from harness.clients.spoken_client import SpokenClient
from harness.clients.spoken_side import SpokenSide
from harness.clients.transport import require_answer
from harness.errors import CouldNotRun
from harness.machine_time import STARVED, MachineLog
from harness.parity import parity_of
from harness.parity.deviations import Deviations
from harness.processes import MachineWatch, Processes, RedisServer, RedisUnusable, open_redis
from harness.protocols.description import Described
from harness.protocols.known import protocol_of, shipped
from harness.results import CellVerdict
from harness.targets import (
    Deployment,
    GivenPool,
    HubPool,
    HubTarget,
    Namespace,
    Setup,
    Side,
    StackPool,
    StackTarget,
    TargetPool,
)
from harness.testing.servers import QUICK, Nemeses, OwnServer, Server
from harness.testing.starved import proved_nothing

COULD_NOT_RUN: Final = 3
TARGET: Final = "_hubgate_target"
_MACHINE = pytest.StashKey[MachineLog]()
_STARVED = pytest.StashKey[bool]()
"""Whether that explains each failure of a test: of its setup, itself and its teardown."""
_HUB_EVENTS = pytest.StashKey[dict[str, list[Event]]]()
"""What the actors of a test saw on the hub, by the test without its parameters."""

_Given = TypeVar("_Given", HubTarget, StackTarget)
Play = Callable[[str | Path], Awaitable[CassetteResult]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of `target` runs on the stack, or on the sides that its marker names."""
    if TARGET in metafunc.fixturenames:
        marked = {marker.name for marker in metafunc.definition.iter_markers()}
        sides = ["hub", "stack"] if "both_sides" in marked else ["hub"] if "on_hub" in marked else ["stack"]
        metafunc.parametrize(TARGET, sides, indirect=True, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the actors said and heard where a test failed; on the stack beside what they did on the hub."""
    report = yield
    if report.failed and call.excinfo:
        log = item.session.stash.get(_MACHINE, None)
        starved = log is not None and proved_nothing(call.excinfo.value, log, call.start, call.stop)
        item.stash[_STARVED] = starved = starved and item.stash.get(_STARVED, True)
        others = [one for one in item.user_properties if one[0] != STARVED]
        item.user_properties = others + ([(STARVED, "others had the machine")] if starved else [])
        report.user_properties = list(item.user_properties)
    server = getattr(item, "funcargs", {}).get(TARGET)
    if report.when == "call" and isinstance(server, Server) and server.actors:
        events, name = events_of(server.actors), f"{item.path}::{getattr(item, 'originalname', item.name)}"
        seen = item.session.stash.setdefault(_HUB_EVENTS, {})
        if server.target.side is Side.HUB and report.passed:
            seen[name] = events
        elif report.failed and name in seen and server.target.side is Side.STACK:
            report.sections.append(("hub and stack, side by side", aligned(seen[name], events)))
        elif report.failed:
            report.sections.append(("what the clients said and heard", as_text(events)))
    return report


@pytest.fixture(scope="session")
def hubgate_run_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this run's logs go."""
    given: str | None = request.config.getoption("--run-folder")
    if not given:
        return tmp_path_factory.mktemp("scenarios")
    return Path(given).resolve() / os.environ.get("PYTEST_XDIST_WORKER", "")


@pytest.fixture(scope="session")
def hubgate_machine(request: pytest.FixtureRequest, hubgate_run_folder: Path) -> Iterator[MachineLog]:
    """What others take of the machine meanwhile, by the watcher of the run that this one is a part of, or its own."""
    given: str | None = request.config.getoption("--machine-log")
    with contextlib.ExitStack() as watched:
        own = None if given else watched.enter_context(MachineWatch(hubgate_run_folder / "machine.jsonl"))
        log = own or MachineLog(Path(str(given)))
        request.session.stash[_MACHINE] = log
        yield log


@pytest.fixture(scope="session")
def hubgate_processes(
    request: pytest.FixtureRequest, hubgate_run_folder: Path, hubgate_machine: MachineLog
) -> Iterator[Processes]:
    """The processes of this run; all are gone at its end."""
    warm: bool = request.config.getoption("--warm")
    with Processes(hubgate_run_folder / "logs", machine=hubgate_machine, warm=warm) as running:
        yield running


@pytest.fixture(scope="session")
def hubgate_redis(request: pytest.FixtureRequest, hubgate_processes: Processes) -> Iterator[RedisServer]:
    """The Redis of this run. Without one nothing can be said of a stack: the run ends with exit status 3."""
    try:
        server = open_redis(request.config.getoption("--redis"), hubgate_processes)
    except RedisUnusable as error:
        pytest.exit(str(error), returncode=COULD_NOT_RUN)
    yield server
    server.close()


@pytest.fixture(scope="session")
def _hubgate_hub(request: pytest.FixtureRequest) -> Server:
    """The hub: the one that was given, or the simulator with workers, started here."""
    given: str | None = request.config.getoption("--legacy")
    token: str | None = request.config.getoption("--token")
    if given:
        protocol = _protocol(request, "--legacy-protocol")
        return Server(answering(HubTarget.at(given, token=token), protocol), protocol=protocol)
    processes: Processes = request.getfixturevalue("hubgate_processes")
    deployment = Deployment.start(processes, Setup(side=Side.HUB, token=token))
    deployment.start_workers(deployment.worker_launches(request.config.getoption("--workers")))
    return Server(deployment.target)


@pytest.fixture(scope="session")
def hub(_hubgate_hub: Server) -> Server:
    """The hub of this run."""
    return _hubgate_hub


@pytest.fixture(scope="session")
def _hubgate_stack(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The stack: the one that was given, or our own with several workers, started here."""
    given: str | None = request.config.getoption("--candidate")
    token: str | None = request.config.getoption("--token")
    if given:
        protocol = _protocol(request, "--protocol")
        given_redis: str = request.config.getoption("--redis") or ""
        prefix: str = request.config.getoption("--prefix", "")  # an option of hubgate's own suites
        target = answering(StackTarget.at(given, redis_url=given_redis, prefix=prefix, token=token), protocol)
        yield Server(target, protocol=protocol)
        return
    redis: RedisServer = request.getfixturevalue("hubgate_redis")
    namespace = Namespace(redis.url, f"scenarios-{secrets.token_hex(4)}:")
    setup = msgspec.structs.replace(QUICK, token=token)
    deployment = Deployment.start(request.getfixturevalue("hubgate_processes"), setup, redis, namespace)
    deployment.start_workers(deployment.worker_launches(request.config.getoption("--workers")))
    yield OwnServer(deployment)
    deployment.remove()


@pytest.fixture(scope="session")
def stack(_hubgate_stack: Server) -> Server:
    """The stack of this run."""
    return _hubgate_stack


@pytest.fixture(scope="session")
def _hubgate_target(request: pytest.FixtureRequest) -> Server:
    side: Server = request.getfixturevalue(f"_hubgate_{request.param}")
    return side


@pytest.fixture(scope="session")
def target(_hubgate_target: Server) -> Server:
    """The side that this test runs on: the stack, or what its marker says (`both_sides`, `on_hub`)."""
    return _hubgate_target


@pytest.fixture(autouse=True)
def _actors_of_one_test(request: pytest.FixtureRequest) -> None:
    if TARGET in request.fixturenames:
        request.getfixturevalue(TARGET).actors.clear()


@pytest_asyncio.fixture
async def legacy_client(_hubgate_target: Server) -> AsyncIterator[LegacyClient]:
    """An old client of the side under test, connected."""
    async with _hubgate_target.legacy() as client:
        yield client


@pytest_asyncio.fixture
async def monitor(_hubgate_target: Server) -> AsyncIterator[Monitor]:
    """An old monitor of the side under test, connected."""
    async with _hubgate_target.monitor() as watching:
        yield watching


@pytest_asyncio.fixture
async def modern_client(_hubgate_stack: Server) -> AsyncIterator[ModernClient]:
    """A client of the stack over HTTP and events; a hub has none."""
    async with _hubgate_stack.modern() as client:
        yield client


@pytest_asyncio.fixture
async def protocol_side(request: pytest.FixtureRequest, _hubgate_target: Server) -> AsyncIterator[SpokenSide]:
    """The side under test, by its protocol alone: clients, workers of a service of one's own, and payloads for them."""
    async with ending(side_of(request, _hubgate_target)) as side:
        yield side


@pytest_asyncio.fixture
async def protocol_client(protocol_side: SpokenSide) -> AsyncIterator[SpokenClient]:
    """A client that speaks the protocol of the side under test, connected."""
    async with protocol_side.client() as client:
        yield client


@pytest.fixture
def nemesis(request: pytest.FixtureRequest, _hubgate_stack: Server) -> Nemeses:
    """What may be broken of the stack. A test with it is skipped where the stack was given."""
    if not isinstance(_hubgate_stack, OwnServer):
        pytest.skip("a stack that was given is not broken")
    return Nemeses(_hubgate_stack, seed=request.config.getoption("--nemesis-seed"))


@pytest.fixture
def cassette(request: pytest.FixtureRequest, _hubgate_target: Server) -> Play:
    """Plays a cassette against the side under test: `await cassette("order.jsonl")`, a path or one beside the test.

    Fails the test where what the actors are told is not what was recorded, and no declared difference says so.
    """
    declared: str | None = request.config.getoption("--deviations")
    deviations = Deviations.load(Path(declared)) if declared else Deviations()
    today = dt.datetime.now(dt.UTC).date()

    async def play(name: str | Path) -> CassetteResult:
        if _hubgate_target.protocol is not None:
            pytest.skip("a recording is played by `hubgate replay --protocol` where the target's words are its own")
        played = await play_file(request.path.parent / name, _pool(request, _hubgate_target))
        result = judged(played, Against(deviations=deviations, today=today))
        if result.verdict not in {CellVerdict.SAME, CellVerdict.DECLARED}:
            pytest.fail("\n".join([result.describe(), *_evidence(result)]), pytrace=False)
        return result

    return play


def _pool(request: pytest.FixtureRequest, target: Server) -> TargetPool:
    """A recording brings its own workers: of our own servers it gets one that has none."""
    if not target.target.owned:
        return GivenPool(target.target)
    processes: Processes = request.getfixturevalue("hubgate_processes")
    if target.target.side is Side.HUB:
        return HubPool(processes)
    return StackPool(processes, request.getfixturevalue("hubgate_redis"))


def side_of(request: pytest.FixtureRequest, server: Server) -> SpokenSide:
    """The server by its protocol: the one that was given, or that of hubgate's own hub and stack."""
    target = server.target
    redis_url, prefix = (target.redis_url, target.prefix) if isinstance(target, StackTarget) else ("", "")
    return SpokenSide(
        target=target,
        protocol=server.protocol or shipped(target.side.value),
        processes=request.getfixturevalue("hubgate_processes"),
        redis_url=redis_url,
        prefix=prefix,
    )


@asynccontextmanager
async def ending(side: SpokenSide) -> AsyncIterator[SpokenSide]:
    """For one test. What is left of its jobs is cancelled; what cannot be is told."""
    if side.protocol.description.worker is not None:
        try:
            side.require_workers()
        except CouldNotRun as error:
            pytest.exit(str(error), returncode=COULD_NOT_RUN)
    yield side
    if left := await side.leave():
        pytest.fail(f"{side.name} still has jobs of this test: {', '.join(left)}", pytrace=False)


def _protocol(request: pytest.FixtureRequest, option: str) -> Described | None:
    named: str | None = request.config.getoption(option)
    try:
        return protocol_of(named) if named else None
    except CouldNotRun as error:
        pytest.exit(f"{option}: {error}", returncode=COULD_NOT_RUN)


def answering(target: _Given, protocol: Described | None = None) -> _Given:
    """The target that was given. Where nothing there speaks as our clients do, the run ends with exit status 3.

    Where its words are its own, it only has to answer.
    """
    try:
        if protocol is None:
            asyncio.run(recognise(target))
        else:
            asyncio.run(require_answer(target.http_url, protocol.description.health))
    except CouldNotRun as error:
        pytest.exit(str(error), returncode=COULD_NOT_RUN)
    return target


def _evidence(result: CassetteResult) -> list[str]:
    observed: Any = result.transcript.events if result.transcript else ()
    return [aligned(result.reference, observed)] if observed else []


WIDTH: Final = 96
"""Characters of one side's column."""
WIDEST: Final = 240
"""Characters of a line where one side stands alone."""


def events_of(actors: Iterable[RecordingSocket]) -> list[Event]:
    """What the actors sent and received, as a cassette's events in the order of time."""
    events: list[Event] = []
    for actor in actors:
        role = Role(actor.role)
        events.append(Open(at=0, actor=actor.name, role=role, path=actor.session.path))
        events += [Send(at=entry.at_ms, actor=actor.name, message=entry.message) for entry in actor.sent]
        events += [Receive(at=entry.at_ms, actor=actor.name, message=entry.message) for entry in actor.received]
    return sorted(events, key=lambda event: event.at)


def as_text(events: Sequence[Event]) -> str:
    """A line a frame, with its time in ms from the first one on."""
    began = next((event.at for event in events if event.at), 0.0)
    return "\n".join(f"{max(0.0, event.at - began):9.1f}  {_cut(_line(event), WIDEST)}" for event in events)


def aligned(hub: Sequence[Event], stack: Sequence[Event]) -> str:
    """The hub's frames beside the stack's, aligned as the gate aligns them; what differs is marked."""
    parity = parity_of(hub, stack)
    marked = {finding.row for finding in parity.findings}
    lines = [f"  {'hub':<{WIDTH}}  stack"]
    for number, (left, right) in enumerate(parity.rows):
        one = "" if left is None else _line(hub[left])
        other = "" if right is None else _line(stack[right])
        lines.append(f"{'≠' if number in marked else ' '} {_cut(one):<{WIDTH}}  {_cut(other)}")
    return "\n".join([*lines, *(f"- {finding.sentence}" for finding in parity.findings)])


def _line(event: Event) -> str:
    if isinstance(event, Send | Receive):
        arrow = "→" if isinstance(event, Send) else "←"
        return f"{event.actor} {arrow} {json.dumps(event.content, ensure_ascii=False, default=str)}"
    return f"{event.actor} connects" if isinstance(event, Open) else f"{event.actor} {type(event).__name__.lower()}"


def _cut(line: str, width: int = WIDTH) -> str:
    return line if len(line) <= width else f"{line[: width - 1]}…"
