"""Options, markers and the stacks that the suites of Phase 2A run against.

python -m pytest scenarios                               everything, on an embedded Valkey
python -m pytest scenarios -k mixed --redis redis://…    one suite, on your own Redis
python -m pytest scenarios --candidate http://…          against a stack that you run
python -m pytest scenarios --candidate http://… --protocol mine.toml    … whose words are its own
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from harness.processes import Processes, RedisServer
from harness.targets import Deployment, HubTarget, Setup, Side, StackTarget, Target
from harness.testing import Server
from harness.testing.fixtures import answering
from harness.testing.xdist_groups import tell_group
from scenarios.stacks import GivenStack, OwnStack, Stacks, died, ours

HERE: Final = Path(__file__).parent
LONGEST_S: Final = 20
OTHER_WORDS: Final = (
    "it speaks as clients of hubgate's stack do, or looks into its processes, and the target has other words"
)
PASSWORD: Final = "open-sesame"  # noqa: S105 - of a stack that lives for one run


def pytest_addoption(parser: pytest.Parser) -> None:
    """What these suites have beside the plug-in's options."""
    group = parser.getgroup("hubgate")
    group.addoption("--prefix", metavar="TEXT", default="", help="the prefix of the given stack's keys in Redis")
    group.addoption("--overlay", metavar="DIR", type=Path, help="a folder whose new_stack is run in place of ours")
    group.addoption("--apart", action="store_true", help="with -n: scenarios go together only where they share a stack")
    group.addoption("--write-books", action="store_true", help="write the stack's answers into the books of scenarios")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cassettes: replays some recordings; the gate replays them all")
    config.addinivalue_line("markers", "long: takes tens of seconds; left out of the gate's quick profile")
    config.addinivalue_line("markers", "fast: run for each mutant, by the gate's fast profile")
    config.addinivalue_line("markers", "by_protocol: asks what a protocol alone can tell; run where one is given")
    config.addinivalue_line("markers", "xdist_group(name): run by the same process (pytest-xdist)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    by_protocol = [item for item in ours if item.get_closest_marker("by_protocol")]
    for item in ours:
        if config.getoption("--protocol") and item not in by_protocol:
            item.add_marker(pytest.mark.skip(reason=OTHER_WORDS))
        if item.get_closest_marker("criterion") is None:
            raise pytest.UsageError(f"{item.nodeid} does not say which criterion it is evidence for")
        if group := _shared_stack(item) if config.getoption("--apart") else "scenarios":
            item.add_marker(pytest.mark.xdist_group(group))
        tell_group(item)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LONGEST_S))
    if not config.getoption("--protocol"):
        config.hook.pytest_deselected(items=by_protocol)
        items[:] = [item for item in items if item not in by_protocol]


def _shared_stack(item: pytest.Item) -> str | None:
    """The stack that a scenario shares with others; None for one that starts its own."""
    fixtures = getattr(item, "fixturenames", ())
    shared = next((name for name in ("stack", "guarded") if name in fixtures), None)
    return shared or (item.path.stem if "isolated_stack" in fixtures else None)


@pytest.fixture(scope="session")
def stacks(request: pytest.FixtureRequest, hubgate_processes: Processes, hubgate_redis: RedisServer) -> Stacks:
    """The Redis and the processes of this run. Without a Redis nothing can be said of the stack."""
    return Stacks(hubgate_processes, hubgate_redis, overlay=request.config.getoption("--overlay"))


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The stack that all suites share, with several workers: the one that was given, or our own."""
    given: str | None = request.config.getoption("--candidate")
    stacks: Stacks
    if given:
        option = request.config.getoption
        token, redis = option("--token"), option("--redis")
        target = answering(StackTarget.at(given, redis_url=redis or "", prefix=option("--prefix"), token=token))
        if not redis:
            yield Server(target)
            return
        stacks = request.getfixturevalue("stacks")
        theirs = GivenStack(target, stacks.processes, workers=option("--workers"))
        yield theirs
        theirs.leave()
        return
    stacks = request.getfixturevalue("stacks")
    with stacks.stack("shared", workers=request.config.getoption("--workers")) as own:
        yield own


@pytest.fixture(scope="session")
def _isolated_stack(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    with ours(request, "a stack whose workers it can start and stop").stack("isolated_stack") as own:
        yield own


@pytest.fixture
def isolated_stack(_isolated_stack: OwnStack) -> Iterator[OwnStack]:
    """A stack with no worker and no job but those that the test brings."""
    yield _isolated_stack
    _isolated_stack.deployment.empty()


@pytest.fixture(scope="session")
def guarded(request: pytest.FixtureRequest) -> Iterator[OwnStack]:
    """A stack that demands a token."""
    with ours(request, "a stack with a token that it knows").stack("guarded", token=PASSWORD) as own:
        yield own


@pytest.fixture(scope="session")
def hub(request: pytest.FixtureRequest) -> Target:
    """The hub that is replaced: the one that was given, or the simulator, on the stack's own Redis if it is ours."""
    given: str | None = request.config.getoption("--legacy")
    if given:
        return answering(HubTarget.at(given, token=request.config.getoption("--token")))
    stacks: Stacks = request.getfixturevalue("stacks")
    redis = stacks.redis if stacks.redis.owned else None
    return Deployment.start(stacks.processes, Setup(side=Side.HUB), redis).target


@pytest.fixture(autouse=True)
def _nobody_died(request: pytest.FixtureRequest) -> Iterator[None]:
    """A process that ends though nobody stopped it fails the scenario that it happened in."""
    if request.config.getoption("--candidate"):
        yield
        return
    stacks: Stacks = request.getfixturevalue("stacks")
    yield
    assert not died(stacks.processes)
