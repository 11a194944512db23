"""A worker's connectors: opened and closed together, and chosen by a job's service."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, Self

from new_stack.settings import SettingsError
from new_stack.worker.connector_spec import ConnectorSpec
from new_stack.worker.connectors import Connector

CATCH_ALL: Final = "*"
"""Among a connector's services: every service that no other connector of the worker takes."""


class ConnectorUnusable(Exception):  # noqa: N818 - the state is the name
    """A connector could not be opened."""


class ConnectorRegistry:
    """The connectors of one worker, by the services that they serve. Raises SettingsError where they serve none.

    A connector serves the services given to it (`services=a+b`) and its own: those that it names, else the one of its
    own name, where that is no `module:Class`. The first one with `services=*` takes every job that is nobody's; without
    one, the worker does not claim such jobs.
    """

    def __init__(self, entries: Sequence[tuple[ConnectorSpec, Connector]]) -> None:
        self._connectors = [connector for _, connector in entries]
        self._by_service: dict[str, Connector] = {}
        self._opened = AsyncExitStack()
        self.names = tuple(spec.name for spec, _ in entries)
        for spec, connector in entries:
            connector.name = spec.name
            own = connector.services or (() if ":" in spec.name else (spec.name,))
            for service in (*spec.services, *own):
                self._by_service.setdefault(service, connector)
        if not self.services:
            names = ", ".join(self.names)
            raise SettingsError(f"connector {names} serves no service: give it some (services=a+b) or all (services=*)")

    @classmethod
    def build(cls, specs: Sequence[ConnectorSpec]) -> Self:
        """Build every connector. Raises SettingsError."""
        return cls([(spec, spec.build()) for spec in specs])

    @property
    def services(self) -> tuple[str, ...]:
        """The services served by name; `*` where there is a connector for all the others."""
        return tuple(sorted(self._by_service, key=lambda service: (service == CATCH_ALL, service)))

    def connector_for(self, service: str) -> Connector | None:
        """The connector that runs jobs of a service, or None."""
        return self._by_service.get(service, self._by_service.get(CATCH_ALL))

    def capabilities(self) -> list[dict[str, Any]]:
        """What each connector tells of itself, in the order given."""
        return [connector.capabilities() for connector in self._connectors]

    async def open(self) -> None:
        """Open every connector; where one cannot be opened, close the others again. Raises ConnectorUnusable."""
        async with AsyncExitStack() as opened:
            for connector in self._connectors:
                try:
                    await connector.open()
                except Exception as error:
                    raise ConnectorUnusable(f"connector {connector.name} could not be opened: {error}") from error
                opened.push_async_callback(connector.close)
            self._opened = opened.pop_all()

    async def close(self) -> None:
        """Close every connector, the last one first, whatever one of them raises; the error is raised at the end."""
        await self._opened.aclose()
