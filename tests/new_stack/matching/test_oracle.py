"""The rule in Lua and the rule in Python decide the same, for sensible pairs and for nonsense."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from new_stack.matching import Reason, why_not
from new_stack.matching.library import source
from tests.new_stack.conftest import ValkeyProcess

NAMES = st.sampled_from(["a", "b", "c", "*", "all"])
LISTS = st.one_of(st.none(), NAMES, st.lists(NAMES, max_size=3))
AMOUNT = st.one_of(st.none(), st.just("all"), st.integers(0, 3), st.sampled_from([0.5, 1.5]))
NONSENSE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2), NAMES),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=2)),
    max_leaves=3,
)


def some(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any of these fields, now and then with nonsense in one."""
    odd = {name: st.one_of(*[value] * 12, NONSENSE) for name, value in fields.items()}
    return st.fixed_dictionaries({}, optional=odd)


AMOUNTS = dict.fromkeys(("gpu_memory_gb", "gpu_count", "cpu_cores", "ram_gb", "disk_gb"), AMOUNT)
ISOLATION = st.sampled_from([None, "none", "loose", "strict"])
EXCLUDED = some(dict.fromkeys(("region", "gpu_model", "models", "components", "workers"), LISTS))
REQUIREMENTS = some(
    {
        "hardware": some({**AMOUNTS, "gpu_model": LISTS}),
        "models": LISTS,
        "components": LISTS,
        "workflow": st.one_of(st.none(), NAMES),
        "region": LISTS,
        "isolation": ISOLATION,
        "exclude": EXCLUDED,
    }
)
CAPABILITIES = some(
    {
        "services": st.one_of(st.just(["*"]), st.just("all"), LISTS),
        "hardware": some({**AMOUNTS, "gpu_model": st.one_of(st.none(), NAMES)}),
        "models": LISTS,
        "components": LISTS,
        "workflows": LISTS,
        "customers": some({"isolation": ISOLATION, "allow": LISTS, "deny": LISTS}),
        "region": st.one_of(st.none(), NAMES),
    }
)
JOBS = st.fixed_dictionaries(
    {"service": NAMES, "customer": st.one_of(st.none(), NAMES), "requirements": st.one_of(st.none(), REQUIREMENTS)}
)
WORKERS = st.fixed_dictionaries({"id": NAMES, "capabilities": CAPABILITIES})
PAIRS = st.lists(st.tuples(JOBS, WORKERS), min_size=40, max_size=40)


@pytest.fixture(scope="module")
def server(valkey: ValkeyProcess) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(valkey.url)
    client.function_load(source(), replace=True)
    yield client
    client.close()


def decided(server: redis.Redis, job: Any, worker: Any) -> Reason | None:
    reply: Any = server.fcall_ro("hubgate_why_not", 0, msgspec.json.encode(job), msgspec.json.encode(worker))
    return Reason(*(part.decode() for part in reply)) if reply else None


@pytest.mark.timeout(600)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(PAIRS)
def test_lua_and_python_decide_the_same(
    server: redis.Redis, pairs: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    """At least 300 lists of 20 to 60 pairs: well over 6,000, and over 10,000 in the mean."""
    with server.pipeline(transaction=False) as pipe:
        for job, worker in pairs:
            pipe.fcall_ro("hubgate_why_not", 0, msgspec.json.encode(job), msgspec.json.encode(worker))
        replies: list[Any] = pipe.execute()
    for (job, worker), reply in zip(pairs, replies, strict=True):
        in_lua = Reason(*(part.decode() for part in reply)) if reply else None
        assert in_lua == why_not(job, worker), (job, worker)


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
