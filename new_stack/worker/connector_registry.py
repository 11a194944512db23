"""Which of a worker's connectors runs which job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from new_stack.worker.connectors.catalogue import ConnectorSpec, build
from new_stack.worker.connectors.connector import Connector


class ConnectorUnusable(Exception):  # noqa: N818 - the state is the name
    """A connector could not be opened."""


class ConnectorRegistry:
    """The connectors of one worker, by the services that they serve.

    A connector serves the services given to it (`services=a+b`) and the one of its own name. The first connector with
    no services given takes every job that is nobody's.
    """

    def __init__(self, entries: Sequence[tuple[ConnectorSpec, Connector]]) -> None:
        self._connectors = [connector for _, connector in entries]
        self._by_service: dict[str, Connector] = {}
        self._rest: Connector | None = None
        self.names = tuple(spec.name for spec, _ in entries)
        for spec, connector in entries:
            for service in (*spec.services, spec.name):
                self._by_service.setdefault(service, connector)
            if not spec.services and self._rest is None:
                self._rest = connector

    @classmethod
    def build(cls, specs: Sequence[ConnectorSpec]) -> Self:
        """Build every connector. Raises SettingsError."""
        return cls([(spec, build(spec)) for spec in specs])

    @property
    def services(self) -> tuple[str, ...]:
        """The services served by name; `*` where there is a connector for all the others."""
        return (*sorted(self._by_service), *(("*",) if self._rest is not None else ()))

    def connector_for(self, service: str) -> Connector | None:
        """The connector that runs jobs of a service, or None."""
        return self._by_service.get(service, self._rest)

    async def open(self) -> None:
        """Open every connector; where one cannot be opened, close the others again. Raises ConnectorUnusable."""
        opened: list[Connector] = []
        for name, connector in zip(self.names, self._connectors, strict=True):
            try:
                await connector.open()
            except Exception as error:
                for earlier in reversed(opened):
                    await earlier.close()
                raise ConnectorUnusable(f"connector {name} could not be opened: {error}") from error
            opened.append(connector)

    async def close(self) -> None:
        """Close every connector, whatever one of them raises; the first error is raised at the end."""
        errors: list[Exception] = []
        for connector in reversed(self._connectors):
            try:
                await connector.close()
            except Exception as error:  # noqa: BLE001 - the others still have to be closed
                errors.append(error)
        if errors:
            raise errors[0]
