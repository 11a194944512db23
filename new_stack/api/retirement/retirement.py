"""The retirement of the hub's protocols as it stands: read anew where its file changes, and brought to everybody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from new_stack.api.retirement import rules
from new_stack.api.retirement.callers import Caller
from new_stack.api.retirement.deprecation import NOTHING, read_deprecation, read_deprecation_file
from new_stack.api.retirement.in_flight import InFlight
from new_stack.api.retirement.rules import Decision, Standing
from new_stack.api.retirement.usage import UsageCounter
from new_stack.api.settings import ApiSettings
from new_stack.log import log
from new_stack.settings import SettingsError

LOOK_SECONDS: Final = 0.5
WARNED_LIMIT: Final = 10_000


class Watched(Protocol):
    """A WebSocket that can be told and ended."""

    caller: Caller
    retired: bool

    @property
    def awaits_jobs(self) -> bool:
        """Whether it waits for the end of a job."""

    def decide_soon(self) -> None:
        """Do as is decided for it, once it has answered."""

    def warn(self, fields: dict[str, Any]) -> None:
        """Tell it where it is a monitor."""


class Retirement:
    """Decides how callers of the hub's protocols are served, and keeps to it while the configuration changes."""

    def __init__(self, settings: ApiSettings, usage: UsageCounter, in_flight: InFlight, clock: Callable[[], float]):
        self._path = settings.deprecation_file
        self._usage = usage
        self._in_flight = in_flight
        self._clock = clock
        self._config = NOTHING
        self._stamp: object = None
        self._running: list[rules.Running] = []
        self._following: asyncio.Task[None] | None = None
        self._warned: set[str] = set()
        self._last_state: list[dict[str, Any]] | None = None
        self.sessions: set[Watched] = set()
        """The WebSockets of this process."""
        if settings.deprecation and self._path:
            raise SettingsError("HUBGATE_DEPRECATION and HUBGATE_DEPRECATION_FILE exclude each other.")
        if settings.deprecation:
            self._config = read_deprecation(settings.deprecation, "HUBGATE_DEPRECATION")
        elif self._path:
            self._stamp = _stamp(self._path)
            self._config = read_deprecation_file(self._path)
            if self._stamp is None:
                log.warning("deprecation_not_there", path=str(Path(self._path).resolve()))
        self._running = rules.running(self._config, clock())

    async def run(self) -> None:
        """Look every half second for what has changed, and bring it to the sessions; never where nothing is set."""
        if not self._path and self._config is NOTHING:
            return
        try:
            while True:
                self._reload()
                self._follow_jobs()
                self._running = rules.running(self._config, self._clock(), self._running)
                self._warn_of_changes()
                for session in [one for one in self.sessions if not one.retired]:
                    session.decide_soon()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            if self._following is not None:
                self._following.cancel()

    def of_session(self, session: Watched) -> Decision:
        """How a WebSocket is served that is open; a refusal is counted."""
        return self._decide(session.caller, awaits=session.awaits_jobs, connected=True)

    def of_call(self, caller: Caller, name: str = "") -> Decision:
        """How a new connection or a call is served, `name` being the one in its path; a refusal is counted."""
        awaits = bool(name) and self._in_flight.count(name) > 0
        return self._decide(caller, awaits=awaits, connected=False)

    def _decide(self, caller: Caller, *, awaits: bool, connected: bool) -> Decision:
        if self._config.legacy and not self._running:
            return Decision()
        in_flight = awaits or (self._config.legacy and self._in_flight.may_have(caller.client))
        found = rules.decide(self._config, self._running, caller, in_flight=in_flight, connected=connected)
        if found.standing is Standing.REFUSED:
            self._usage.refuse(caller, found.began_at, max(self._in_flight.count(caller.client), int(awaits)))
        return found

    def headers(self, caller: Caller) -> dict[str, str]:
        """What the response to this caller has besides; nothing where no notice means it."""
        notice = rules.notice_for(self._config, caller)
        return {} if notice is None else rules.headers(notice)

    def greeted(self, caller: Caller, frame: dict[str, Any]) -> dict[str, Any]:
        """A greeting, with the notice where one means this caller."""
        notice = rules.notice_for(self._config, caller)
        return frame if notice is None else frame | {"deprecation": rules.told(notice)}

    def connected(self, session: Watched) -> None:
        """Monitors are told once of each client that comes though a notice means it; a monitor of how things stand."""
        client, notice = session.caller.client, rules.notice_for(self._config, session.caller)
        if self._config is not NOTHING:
            for what in self._standing():
                session.warn(what)
        if notice is not None and client not in self._warned and len(self._warned) < WARNED_LIMIT:
            self._warned.add(client)
            self._warn({"what": "client", "client_id": client, "dialect": session.caller.dialect} | rules.told(notice))

    def state(self) -> dict[str, Any]:
        """What is set, for those who look; times in ms."""
        upcoming = rules.next_brown_out(self._config, self._clock())
        on = [
            {"began_at": int(one.began_at * 1000), "ends_at": int(one.ends_at * 1000), "share": one.rule.share}
            for one in self._running
        ]
        return {
            "legacy": self._config.legacy,
            "notices": [
                rules.told(notice) | {"clients": notice.clients, "dialects": notice.dialects}
                for notice in self._config.notice
            ],
            "brown_out": on[0] if on else None,
            "next_brown_out_at": None if upcoming is None else int(upcoming * 1000),
        }

    def _reload(self) -> None:
        """Read the file anew where it has changed; what cannot be read is logged, and what was read before holds."""
        if not self._path or (stamp := _stamp(self._path)) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._config = read_deprecation_file(self._path)
        except SettingsError as error:
            log.error("deprecation_not_read", error=str(error))
            return
        self._warned.clear()
        log.info("deprecation_read", legacy=self._config.legacy, notices=len(self._config.notice))

    def _follow_jobs(self) -> None:
        """Know who has jobs in flight as long as there are brown-outs: they spare them, or tell what they met."""
        wanted = bool(self._config.brown_out)
        if wanted and (self._following is None or self._following.done()):
            self._following = asyncio.create_task(self._in_flight.run(), name="jobs in flight")
        elif not wanted and self._following is not None:
            self._following.cancel()
            self._following = None

    def _standing(self) -> list[dict[str, Any]]:
        """What is on now, as monitors are warned of it."""
        found = [{"what": "notice"} | rules.told(notice) for notice in self._config.notice]
        found += [{"what": "brown_out", "message": one.sentence} for one in self._running]
        return found + ([] if self._config.legacy else [{"what": "switched_off", "message": rules.SWITCHED_OFF}])

    def _warn_of_changes(self) -> None:
        standing = self._standing()
        before, self._last_state = self._last_state, standing
        if before is None or before == standing:
            return
        for what in standing or [{"what": "over", "message": "The hub's protocols are served as before."}]:
            if what not in before:
                self._warn(what)

    def _warn(self, what: dict[str, Any]) -> None:
        log.warning("legacy_deprecated", **what)
        for session in self.sessions:
            session.warn(what)


def _stamp(path: str) -> object:
    """Differs where the file has changed."""
    with suppress(OSError):
        found = Path(path).stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
    return None
