"""The rule in Lua and the rule in Python decide the same, for sensible pairs and for nonsense."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from new_stack.matching import Reason, why_not
from new_stack.matching.library import source
from new_stack.matching.wording import _SENTENCES
from tests.new_stack.conftest import ValkeyProcess

NAMES = st.sampled_from(["a", "b", "c", "*", "all"])
LISTS = st.one_of(st.none(), NAMES, st.lists(NAMES, max_size=3))
SOME = st.one_of(NAMES, st.lists(NAMES, min_size=1, max_size=3))
AMOUNT = st.one_of(st.none(), st.just("all"), st.integers(0, 3), st.sampled_from([0.5, 1.5]))
NONSENSE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2), NAMES),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=2)),
    max_leaves=3,
)


@st.composite
def some(draw: st.DrawFn, fields: dict[str, st.SearchStrategy[Any]], least: int, most: int) -> dict[str, Any]:
    """So many of these fields, now and then with nonsense in one."""
    names = draw(st.lists(st.sampled_from(sorted(fields)), unique=True, min_size=least, max_size=most))
    return {name: draw(NONSENSE if draw(st.integers(0, 40)) == 20 else fields[name]) for name in names}


AMOUNTS = dict.fromkeys(("gpu_memory_gb", "gpu_count", "cpu_cores", "ram_gb", "disk_gb"), AMOUNT)
ISOLATION = st.sampled_from([None, "none", "loose", "strict"])
HARDWARE = some({**AMOUNTS, "gpu_model": LISTS}, 1, 2)
EXCLUDED = some(dict.fromkeys(("region", "gpu_model", "models", "components", "workers"), SOME), 1, 2)
OTHERS = {
    "models": LISTS,
    "components": LISTS,
    "workflow": st.one_of(st.none(), NAMES),
    "region": LISTS,
    "isolation": ISOLATION,
}
REQUIREMENTS = st.one_of(
    st.none(),
    some({"hardware": HARDWARE}, 1, 1),
    some({"exclude": EXCLUDED}, 1, 1),
    some({"hardware": HARDWARE, "exclude": EXCLUDED, **OTHERS}, 1, 3),
)
CAPABILITIES = some(
    {
        "hardware": some({**AMOUNTS, "gpu_model": st.one_of(st.none(), NAMES)}, 4, 6),
        "models": LISTS,
        "components": LISTS,
        "workflows": LISTS,
        "customers": some({"isolation": ISOLATION, "allow": LISTS, "deny": LISTS}, 0, 3),
        "region": st.one_of(st.none(), NAMES),
    },
    2,
    6,
)
SERVICES = some({"services": LISTS}, 0, 1).map(lambda own: own or {"services": ["*"]})
JOBS = st.fixed_dictionaries({"service": NAMES, "customer": st.one_of(st.none(), NAMES), "requirements": REQUIREMENTS})
WORKERS = st.builds(
    lambda worker_id, served, offers: {"id": worker_id, "capabilities": {**offers, **served}},
    NAMES,
    SERVICES,
    CAPABILITIES,
)
SIDE = 14
"""So many jobs and so many workers are drawn at once, and each job is held against each worker."""
LEAST_BY_A_RULE = 5
"""Different pairs; the rarest rule has some 30 in the mean."""


def unlike(one: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """So many that are all different: left to itself Hypothesis draws the same ones again and again."""
    return st.lists(
        one, min_size=SIDE, max_size=SIDE, unique_by=lambda drawn: msgspec.json.encode(drawn, order="sorted")
    )


@pytest.fixture(scope="module")
def server(valkey: ValkeyProcess) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(valkey.url)
    client.function_load(source(), replace=True)
    yield client
    client.close()


def decided(server: redis.Redis, job: Any, worker: Any) -> Reason | None:
    reply: Any = server.fcall_ro("hubgate_why_not", 0, msgspec.json.encode(job), msgspec.json.encode(worker))
    return Reason(*(part.decode() for part in reply)) if reply else None


RULES = {*_SENTENCES} - {"matching", "failed_last", "service.paused", "worker.draining"}
"""What a pair alone decides."""


@pytest.mark.timeout(600)
def test_lua_and_python_decide_the_same(server: redis.Redis) -> None:
    """Each of at least 10,000 different pairs; and each rule decides many of them, as an answer does, too."""
    decided_by: dict[str | None, set[bytes]] = defaultdict(set)

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(unlike(JOBS), unlike(WORKERS))
    def the_same(jobs: list[dict[str, Any]], workers: list[dict[str, Any]]) -> None:
        pairs = list(product(jobs, workers))
        with server.pipeline(transaction=False) as pipe:
            for job, worker in pairs:
                pipe.fcall_ro("hubgate_why_not", 0, msgspec.json.encode(job), msgspec.json.encode(worker))
            replies: list[Any] = pipe.execute()
        for (job, worker), reply in zip(pairs, replies, strict=True):
            in_lua = Reason(*(part.decode() for part in reply)) if reply else None
            assert in_lua == why_not(job, worker), (job, worker)
            decided_by[in_lua.rule if in_lua else None].add(msgspec.json.encode((job, worker)))

    the_same()
    assert sum(map(len, decided_by.values())) >= 10_000
    assert [rule for rule in (None, *sorted(RULES)) if len(decided_by[rule]) < LEAST_BY_A_RULE] == []


def test_text_that_is_no_json_is_malformed(server: redis.Redis) -> None:
    reply: Any = server.fcall_ro("hubgate_why_not", 0, "{", "{}")
    assert reply == [b"malformed", b"job"]


ANYTHING = {"id": "w", "capabilities": {"services": ["*"], "models": "all", "components": "all"}}


@pytest.mark.parametrize(
    ("requirements", "capabilities", "rule"),
    [
        ({"hardware": {"gpu_memory_gb": 16}}, {"hardware": {"gpu_memory_gb": 24}}, None),
        ({"hardware": {"gpu_memory_gb": 16}}, {"hardware": {"gpu_memory_gb": 12}}, "hardware.gpu_memory_gb"),
        ({"hardware": {"gpu_memory_gb": 16}}, {}, "hardware.gpu_memory_gb"),
        ({"hardware": {"gpu_memory_gb": "all"}}, {}, None),
        ({"hardware": {"gpu_model": ["A100", "H100"]}}, {"hardware": {"gpu_model": "H100"}}, None),
        ({"models": ["sdxl", "flux"]}, {"models": ["sdxl"]}, "models"),
        ({"models": ["sdxl"]}, {"models": "all"}, None),
        ({"exclude": {"region": "us"}}, {"region": "us"}, "exclude.region"),
        ({"exclude": {"region": "us"}}, {"region": "eu"}, None),
        ({"region": ["eu", "uk"]}, {"region": "us"}, "region"),
        ({"workflow": "upscale"}, {"workflows": ["draw"]}, "workflow"),
        ({"workflow": "upscale"}, {}, None),
        ({"isolation": "strict"}, {"customers": {"isolation": "loose", "allow": ["acme"]}}, "customer.isolation"),
        ({"isolation": "strict"}, {"customers": {"isolation": "strict", "allow": ["acme"]}}, None),
        ({}, {"customers": {"deny": ["acme"]}}, "customer.denied"),
        ({}, {"customers": {"isolation": "strict", "allow": ["other"]}}, "customer.not_allowed"),
        ({"hardware": {"ram_gb": "much"}}, {}, "malformed"),
    ],
)
def test_what_a_pair_comes_to(
    server: redis.Redis, requirements: dict[str, Any], capabilities: dict[str, Any], rule: str | None
) -> None:
    job = {"service": "draw", "customer": "acme", "requirements": requirements}
    worker = {"id": "w", "capabilities": {"services": ["draw"], **capabilities}}
    found = decided(server, job, worker)
    assert found == why_not(job, worker)
    assert (found.rule if found else None) == rule
