"""Finding connectors by name and reading their settings."""

from __future__ import annotations

import pytest

from new_stack.settings import SettingsError
from new_stack.worker.connector_registry import ConnectorRegistry
from new_stack.worker.connector_spec import BUILT_IN, ConnectorSpec, find, parse_list
from new_stack.worker.connectors import Connector
from new_stack.worker.connectors.rest import RestSyncConnector


def test_a_list_is_read_without_ambiguity() -> None:
    text = r"simulation, rest-sync:services=a+b,url=http://h:1/run?x=1,timeout_s=60,authorization=Bearer x\,y,comfyui"
    assert parse_list(text) == (
        ConnectorSpec(name="simulation"),
        ConnectorSpec(
            name="rest-sync",
            services=("a", "b"),
            options={"url": "http://h:1/run?x=1", "timeout_s": "60", "authorization": "Bearer x,y"},
        ),
        ConnectorSpec(name="comfyui"),
    )


def test_a_connector_may_be_named_by_its_class_and_then_serves_what_it_is_given() -> None:
    module = "new_stack.worker.connectors.simulation:SimulationConnector"
    assert parse_list(f"{module},step_ms=2,services=a+b,{module}") == (
        ConnectorSpec(name=module, services=("a", "b"), options={"step_ms": "2"}),
        ConnectorSpec(name=module),
    )
    assert ConnectorRegistry.build(parse_list(f"{module}:services=a+b")).services == ("a", "b")
    assert ConnectorRegistry.build(parse_list(f"{module}:services=*")).services == ("*",)


def test_settings_are_typed() -> None:
    connector = ConnectorSpec.parse("rest-sync:url=http://h,timeout_s=2.5,max_response_bytes=10").build()
    assert isinstance(connector, RestSyncConnector)
    assert (connector.settings.timeout_s, connector.settings.max_response_bytes) == (2.5, 10)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a name is letters"),
        ("a b", "a name is letters"),
        ("simulation:step_ms", "not of the form setting=value"),
        ("simulation:step_ms=soon", "step_ms"),
        ("simulation:speed=1", "there is no setting 'speed'; there are: step_ms"),
        ("rest-sync", "url"),
        ("rest-sync:url=h", "must begin with http:// or https://"),
        ("websocket:url=tcp://h", "must begin with ws:// or wss://"),
        ("no.such:Connector", "connector no.such:Connector: its code could not be loaded: No module named 'no'"),
        ("json:JSONDecoder", "connector json:JSONDecoder: that is no Connector class"),
        ("nosuch", "there is no connector 'nosuch'; there are: a1111, comfyui"),
    ],
)
def test_what_is_wrong_with_a_connector_is_told(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ConnectorSpec.parse(text).build()
    assert said in str(caught.value)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_connector_is_one(name: str) -> None:
    assert issubclass(find(name), Connector)


def test_jobs_go_to_the_connector_that_serves_them() -> None:
    specs = parse_list(
        "simulation:services=sim,rest-sync:url=http://h,services=*,rest-async:url=http://a,status_url=http://a/{id}"
    )
    connectors = ConnectorRegistry.build(specs)
    kinds = {
        service: type(connectors.connector_for(service)).__name__
        for service in ("sim", "simulation", "rest-async", "anything")
    }
    assert kinds == {
        "sim": "SimulationConnector",
        "simulation": "SimulationConnector",
        "rest-async": "RestAsyncConnector",
        "anything": "RestSyncConnector",
    }
    assert connectors.services == ("rest-async", "rest-sync", "sim", "simulation", "*")


def test_a_connector_takes_every_service_only_where_it_says_so() -> None:
    for text, services in (
        ("simulation", ("simulation",)),
        ("simulation:services=sim", ("sim", "simulation")),
        ("simulation:services=*", ("simulation", "*")),
    ):
        connectors = ConnectorRegistry.build(parse_list(text))
        assert connectors.services == services
        assert (connectors.connector_for("other") is not None) is ("*" in services)


def test_a_worker_that_would_serve_nothing_is_refused() -> None:
    """It claimed nothing, and its heartbeat said that it serves all."""
    module = "new_stack.worker.connectors.simulation:SimulationConnector"
    with pytest.raises(SettingsError, match=r"SimulationConnector serves no service: give it .*services=\*"):
        ConnectorRegistry.build(parse_list(module))
    ConnectorRegistry.build(parse_list(f"{module},simulation"))
