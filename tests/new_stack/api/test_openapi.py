"""The server does what /openapi.json says, and says what it does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from harness.processes import Process, Processes, services
from new_stack.api.app import ROUTES as PATTERNS
from new_stack.api.http.problems import Problem
from new_stack.api.modern.schemas import CancelRequest, JobRequest

from ..conftest import ValkeyProcess
from .conftest import Api

ROUTES = [(method, re.sub(r":[^}]*", "", path), handler) for method, path, handler in PATTERNS if method != "HEAD"]
UNDESCRIBED = {"/", "/openapi.json", "/ws/{role}/{name}"} | {
    "/dashboard",
    "/dashboard/{view}",
    "/dashboard/static/{name}",
}
UNSAYABLE: dict[str, list[Any]] = {
    "/api/jobs": [positive_data_acceptance],
    "/api/jobs/bulk": [positive_data_acceptance],
}
"""A schema has no portable words for "printable", which names of jobs and services have to be, nor for "1, not 1.0"."""

STREAMS = {"/api/events", "/api/jobs/{job_id}/progress"}


async def test_every_route_is_described(api: Api) -> None:
    document = await api.get("/openapi.json")
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == {(method, path) for method, path, _ in ROUTES if path not in UNDESCRIBED}


@pytest.fixture(scope="module")
def running(valkey: ValkeyProcess, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("api")
    with Processes(folder) as processes:
        yield processes.start(services.api(redis_url=valkey.url, prefix="schema:"))


@pytest.fixture(scope="module")
def document(running: Process) -> schemathesis.BaseSchema:
    found: schemathesis.BaseSchema = schemathesis.openapi.from_url(f"{running.http_url}/openapi.json")
    return found


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for method, path, _ in ROUTES if path not in UNDESCRIBED and path not in STREAMS],
)
def test_answers_are_as_described(document: schemathesis.BaseSchema, method: str, path: str) -> None:
    operation = document[path][method]

    @given(case=operation.as_strategy())
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    def answers(case: schemathesis.Case) -> None:
        if isinstance(case.body, dict):
            case.body.pop("wait", None)  # nobody works here: an answer that waits for the job's end never comes
        case.call_and_validate(timeout=10, excluded_checks=UNSAYABLE.get(path, []))

    answers()


async def test_the_documents_requests_are_the_types_that_are_read(api: Api) -> None:
    document = await api.get("/openapi.json")
    types = (JobRequest, CancelRequest, Problem)
    _, schemas = msgspec.json.schema_components(
        types, schema_hook=lambda _: {}, ref_template="#/components/schemas/{name}"
    )
    schemas["JobRequest"]["required"] = ["service_required"]  # no type says that one of two names has to be there
    for name, schema in schemas.items():
        described = document["components"]["schemas"][name]
        described["properties"].get("payload", {}).clear()  # any JSON to the type, an object to the caller
        assert described == schema, name


async def test_a_job_has_the_fields_that_are_described(api: Api) -> None:
    document = await api.get("/openapi.json")
    schemas = document["components"]["schemas"]
    assert set(await api.get(f"/api/jobs/{await api.submit()}")) == set(schemas["JobView"]["properties"])
    assert set((await api.get("/api/jobs"))["jobs"][0]) == set(schemas["JobRow"]["properties"])
