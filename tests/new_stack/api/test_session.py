"""Signing in by cookie, and the token that may only read."""

from __future__ import annotations

from typing import Any

import pytest

from new_stack.api.guard.cookies import SESSION_S, cookie_for
from new_stack.api.http.access import access_by_token
from new_stack.api.settings import ApiSettings
from new_stack.settings import SettingsError

from .conftest import Api, StartApi
from .test_access import REFUSED

COOKIE = "hubgate_session"


async def cookie_of(api: Api, token: str) -> Any:
    async with api.session.post(f"{api.base}/api/session", json={"token": token}) as response:
        assert response.status == 200, await response.text()
        return response.cookies[COOKIE]


async def test_a_token_is_changed_for_a_cookie_that_lets_in(start_api: StartApi) -> None:
    api = await start_api(token="s3cret")
    asked = await api.get("/api/session")
    assert asked == {"token_required": True, "signed_in": False, "may_write": False}
    await api.get("/api/stats", 401)
    cookie = await cookie_of(api, "s3cret")
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["max-age"]) == (True, "Strict", "/", "43200")
    assert "s3cret" not in cookie.value
    by_cookie = {"Cookie": f"{COOKIE}={cookie.value}"}
    assert (await api.get("/api/session", headers=by_cookie))["may_write"]
    await api.get("/api/stats", headers=by_cookie)
    await api.post("/api/jobs", {"service_required": "s"}, 201, headers=by_cookie)
    socket = await api.socket("/ws/monitor/m", headers=by_cookie)
    assert (await socket.receive())["type"] == "connection_established"
    other = await start_api(token="s3cret")
    await other.get("/api/stats", headers=by_cookie)  # no server keeps it: any that has the token knows it
    changed = await start_api(token="another")
    await changed.get("/api/stats", 401, headers=by_cookie)


async def test_a_wrong_token_says_so_and_gives_no_cookie(start_api: StartApi) -> None:
    api = await start_api(token="s3cret")
    async with api.session.post(f"{api.base}/api/session", json={"token": "wrong"}) as response:
        assert (response.status, COOKIE in response.cookies) == (401, False)
        assert (await response.json())["detail"] == "Authentication failed: Invalid token"


async def test_signing_out_takes_the_cookie_back(start_api: StartApi) -> None:
    api = await start_api(token="s3cret")
    async with api.session.delete(f"{api.base}/api/session") as response:
        assert (response.status, response.cookies[COOKIE].value) == (204, "")


async def test_without_a_token_nobody_has_to_sign_in(api: Api) -> None:
    assert await api.get("/api/session") == {"token_required": False, "signed_in": True, "may_write": True}


async def test_who_may_only_read_changes_nothing(start_api: StartApi) -> None:
    api = await start_api(token="s3cret", read_token="look")
    cookie = await cookie_of(api, "look")
    for headers in ({"Authorization": "Bearer look"}, {"Cookie": f"{COOKIE}={cookie.value}"}):
        assert not (await api.get("/api/session", headers=headers))["may_write"]
        for path in ("/api/stats", "/api/jobs", "/api/overview", "/api/history"):
            await api.get(path, headers=headers)
        for path in ("/api/jobs", "/api/jobs/bulk", "/api/services/s/pause", "/api/jobs/x/cancel"):
            problem = await api.post(path, {}, 403, headers=headers)
            assert problem["detail"] == "This token may only read."
        monitor = await api.socket("/ws/monitor/m", headers=headers)
        assert (await monitor.receive())["type"] == "connection_established"
        client = await api.socket("/ws/client/c", headers=headers)
        assert await client.receive() == REFUSED
    assert (await api.queue.counts()).pending == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda value: f"9{value}",
        lambda value: value[:-1] + ("0" if value[-1] != "0" else "1"),
        lambda value: value.rpartition(".")[0],
        lambda value: "99999999999." + value.rpartition(".")[2],
        lambda _: "٣.x",
        lambda _: "",
    ],
)
async def test_a_forged_cookie_is_none(start_api: StartApi, change: Any) -> None:
    api = await start_api(token="s3cret", read_token="look")
    cookie = await cookie_of(api, "look")
    await api.get("/api/stats", 401, headers={"Cookie": f"{COOKIE}={change(cookie.value)}"})


async def test_a_cookie_ends_after_its_time(start_api: StartApi) -> None:
    api = await start_api(token="s3cret")
    old = cookie_for(api.services.settings.token, api.services.clock() - SESSION_S - 10)
    await api.get("/api/stats", 401, headers={"Cookie": f"{COOKIE}={old}"})


def test_a_reading_token_needs_one_that_writes() -> None:
    with pytest.raises(SettingsError, match="WEBSOCKET_AUTH_TOKEN"):
        ApiSettings.from_environment({"HUBGATE_READ_TOKEN": "look"})
    settings = ApiSettings.from_environment({"HUBGATE_READ_TOKEN": "look", "WEBSOCKET_AUTH_TOKEN": "s"})
    assert [access_by_token(shown, settings) for shown in ("s", "look", "", "x")] == [2, 1, 0, 0]


async def test_every_answer_says_the_time_by_rediss_clock(start_api: StartApi) -> None:
    api = await start_api(token="s3cret")
    for path in ("/api/stats", "/health", "/nowhere"):
        async with api.session.get(api.base + path) as response:
            assert abs(int(response.headers["Hubgate-Time"]) - await api.queue.time_ms()) < 60_000
