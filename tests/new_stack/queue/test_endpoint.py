"""Addresses from URLs, and which server is reached."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from new_stack.queue import QueueUnavailable, SettingsError
from new_stack.queue.endpoint import Endpoint
from new_stack.queue.failover.address import Address


def at(host: str, port: int = 6379) -> tuple[tuple[str, int], ...]:
    return ((host, port),)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://", Address()),
        ("redis://h:1/4", Address(at("h", 1), database=4)),
        ("redis://u:p%40w@h", Address(at("h"), username="u", password="p@w")),
        ("redis://a:1,b,[::1]:3/2?client_name=x", Address((("a", 1), ("b", 6379), ("::1", 3)), database=2,
                                                         options={"client_name": "x"})),
        ("rediss://:pw@[::1]:7?ssl_check_hostname=no", Address(at("::1", 7), password="pw", tls=True,
                                                              options={"ssl_check_hostname": False})),
        ("unix:///run/redis.sock?db=2", Address(path="/run/redis.sock", database=2)),
        ("redis+sentinel://a,b:1/main/3", Address((("a", 26379), ("b", 1)), service="main", database=3)),
        ("rediss+sentinel://:pw@a/main?sentinel_password=s", Address(at("a", 26379), service="main", tls=True,
                                                         password="pw", options={"sentinel_password": "s"})),
    ],
)  # fmt: skip
def test_addresses(url: str, address: Address) -> None:
    assert Address.parse(url) == address
    assert "pw" not in str(address)


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("http://h", "redis://"),
        ("h:6379", "redis://"),
        ("redis://h:x", "port"),
        ("redis://h/first", "database"),
        ("redis://h/1/2", "database"),
        ("redis+sentinel://h", "service"),
        ("redis://h?conect_timeout=3", "conect_timeout"),
        ("redis://h?db=one", "db"),
        ("redis://h?socket_keepalive=maybe", "socket_keepalive"),
        ("redis://h?ssl_ca_certs=/ca.pem", "ssl_ca_certs"),
        ("redis://h?sentinel_password=x", "sentinel_password"),
        ("rediss://h?ssl_cert_reqs=sometimes", "ssl_cert_reqs"),
        ("rediss://h?ssl_ca_path=/etc/ssl/certs", "ssl_ca_path"),
        ("rediss://h?ssl_password=x", "ssl_password"),
        ("rediss://h?ssl_ca_certs=", "ssl_ca_certs"),
        ("rediss://h?ssl_certfile=/client.crt", "ssl_keyfile"),
        ("redis://h?client_name=", "client_name"),
        ("redis://h?client_name=a%20b", "client_name"),
        ("redis://h?db=-1", "db"),
        ("redis://h?db=1&db=2", "db"),
        ("redis://h/1?db=2", "db"),
        ("redis://h/0#db=2", "%23"),
        ("redis://h:0", "port"),
        ("redis://[::1", "host"),
        ("redis://[h]", "host"),
        ("redis://a,,b", "host"),
        ("unix://run/redis.sock", "unix:///"),
        ("unix://", "unix:///"),
        ("unix:///run/redis.sock?socket_keepalive=true", "socket_keepalive"),
    ],
)
def test_an_address_that_cannot_be_is_told_by_the_part_that_is_wrong(url: str, names: str) -> None:
    with pytest.raises(SettingsError, match=names):
        Address.parse(url)


def test_a_socket_that_is_closed_while_we_greet_is_a_lost_connection_on_uvloop_too() -> None:
    """uvloop raises RuntimeError where asyncio's own loop says nothing: processes ended of it."""

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def greet() -> None:
        async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            endpoint = Endpoint(Address.parse(f"redis://127.0.0.1:{port}"), timeout=5)
            for _ in range(20):
                with pytest.raises(QueueUnavailable, match="Redis cannot be reached"):
                    await endpoint.open()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(greet())
