import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from harness.processes import Processes, RedisUnusable, check_redis, free_port, open_redis, start_valkey
from harness.processes.redis import start_docker_redis


@contextlib.contextmanager
def server_that_answers(reply: bytes) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        while data := connection.recv(4096):
                            body = reply if b"INFO" in data.upper() else b""
                            answers = data.upper().count(b"*") - (1 if body else 0)
                            connection.sendall(b"+OK\r\n" * answers + body)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0?protocol=2"


def test_the_embedded_server_answers_and_keeps_its_data_in_the_runs_folder(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        valkey = start_valkey(processes)
        assert valkey.owned
        assert check_redis(valkey.url)
        assert (tmp_path / "valkey.data").is_dir()


@pytest.mark.parametrize(("appendonly", "left"), [(True, b"yes"), (False, None)])
def test_after_a_kill_it_comes_back_on_the_same_port_with_what_was_appended(
    tmp_path: Path, appendonly: bool, left: bytes | None
) -> None:
    with Processes(tmp_path) as processes:
        valkey = start_valkey(processes, appendonly=appendonly)
        url = valkey.url
        with contextlib.closing(redis.Redis.from_url(url)) as connection:
            connection.set("here", "yes")
        valkey.kill()
        with pytest.raises(RedisUnusable, match="cannot be used"):
            check_redis(url)
        valkey.restart()
        assert valkey.url == url
        with contextlib.closing(redis.Redis.from_url(url)) as connection:
            assert connection.get("here") == left


def test_two_servers_of_one_run_do_not_meet(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        one, other = start_valkey(processes, name="one"), start_valkey(processes, name="other")
        with contextlib.closing(redis.Redis.from_url(one.url)) as connection:
            connection.set("here", "yes")
        with contextlib.closing(redis.Redis.from_url(other.url)) as connection:
            assert connection.get("here") is None
        one.flush()
        with contextlib.closing(redis.Redis.from_url(one.url)) as connection:
            assert connection.get("here") is None


def test_an_unreachable_server_is_one_sentence_without_the_password(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes, pytest.raises(RedisUnusable) as caught:
        open_redis(f"redis://:hush@127.0.0.1:{free_port()}/0", processes)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_url_of_another_kind_is_refused(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes, pytest.raises(RedisUnusable, match="is no Redis URL"):
        open_redis("http://somewhere", processes)


def test_a_server_without_functions_is_refused() -> None:
    info = b"# Server\r\nredis_version:6.2.14\r\n"
    with (
        server_that_answers(b"$%d\r\n%s\r\n" % (len(info), info)) as url,
        pytest.raises(RedisUnusable, match=r"is 6\.2\.14: Redis Functions need Redis 7"),
    ):
        check_redis(url)


def test_a_server_that_is_no_redis_is_refused() -> None:
    with server_that_answers(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url, pytest.raises(RedisUnusable):
        check_redis(url)


def test_docker_without_an_engine_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(RedisUnusable, match="no container engine could start") as caught:
        start_docker_redis()
    assert "\n" not in str(caught.value)
