"""A worker's connectors: read from `NAME[:SETTINGS]`, found by name, built, and chosen by a job's service."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from new_stack.settings import SettingsError
from new_stack.worker.connectors import Connector
from new_stack.worker.connectors.threads import ThreadedConnector

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

GROUP: Final = "hubgate.connectors"
"""The entry-point group under which a package names its connectors."""

BUILT_IN: Final[Mapping[str, str]] = {
    "simulation": "simulation:SimulationConnector",
    "rest-sync": "rest:RestSyncConnector",
    "rest-async": "rest:RestAsyncConnector",
    "websocket": "websocket:WebSocketConnector",
    "comfyui": "comfyui:ComfyUIConnector",
    "a1111": "a1111:A1111Connector",
    "tasks": "tasks:TaskConnector",
}
"""Our own, in new_stack.worker.connectors: each is imported only where it is used."""

CATCH_ALL: Final = "*"
"""Among a connector's services: every service that no other connector of the worker takes."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CLASS = re.compile(r"([A-Za-z_][\w.]*:[A-Z]\w*)(?::(.*))?", re.DOTALL)
"""`module:Class`, and settings behind it: a class begins with a capital letter and is no `setting=value`."""
_COMMA = re.compile(r"(?<!\\),")


class ConnectorUnusable(Exception):  # noqa: N818 - the state is the name
    """A connector could not be opened."""


class ConnectorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One connector as asked for: its name, the services it serves, its settings as text."""

    name: str
    services: tuple[str, ...] = ()
    """The `service_required` values that it takes besides its own name; `*` is every one that no other takes."""
    options: dict[str, str] = {}
    threaded: bool = False
    """Each job runs in a thread of its own: for connectors whose code blocks."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `NAME[:key=value,…]` or `module:Class[:key=value,…]`. A comma in a value is written `\\,`.

        `services=a+b` and `run_in=thread` are the worker's own keys. Raises SettingsError.
        """
        by_class = _CLASS.fullmatch(text.strip())
        name, _, rest = (by_class[1], ":", by_class[2] or "") if by_class else text.strip().partition(":")
        if not by_class and not _NAME.fullmatch(name):
            raise SettingsError(f"connector {text!r}: a name is letters, digits, '.', '_' and '-'")
        options: dict[str, str] = {}
        for piece in filter(None, _COMMA.split(rest)):
            key, equals, value = piece.partition("=")
            if not equals:
                raise SettingsError(f"connector {name}: {piece!r} is not of the form setting=value")
            options[key.strip()] = value.replace("\\,", ",").strip()
        services = tuple(filter(None, options.pop("services", "").split("+")))
        run_in = options.pop("run_in", "loop")
        if run_in not in {"loop", "thread"}:
            raise SettingsError(f"connector {name}: run_in is loop or thread, not {run_in!r}")
        return cls(name=name, services=services, options=options, threaded=run_in == "thread")

    def build(self) -> Connector:
        """The connector with its typed settings. Raises SettingsError that names the setting."""
        kind = find(self.name)
        known = {field.encode_name for field in msgspec.structs.fields(kind.Settings)}
        unknown = sorted(set(self.options) - known)
        if unknown:
            there_are = ", ".join(sorted(known)) or "none"
            raise SettingsError(f"connector {self.name}: there is no setting {unknown[0]!r}; there are: {there_are}")
        try:
            settings = msgspec.convert(self.options, kind.Settings, strict=False)
        except msgspec.ValidationError as error:
            raise SettingsError(f"connector {self.name}: {error}") from error
        return ThreadedConnector(lambda: kind(settings)) if self.threaded else kind(settings)


def parse_list(text: str) -> tuple[ConnectorSpec, ...]:
    """Read several connectors, separated by commas: `simulation,rest-sync:url=http://host/run,timeout_s=60`.

    A piece `key=value` goes on with the settings of the connector before it; any other piece begins a connector.
    """
    texts: list[str] = []
    for piece in filter(None, (piece.strip() for piece in _COMMA.split(text))):
        head = piece.partition("=")[0]
        if texts and "=" in piece and ":" not in head:
            texts[-1] += ("," if "=" in texts[-1] else ":") + piece
        else:
            texts.append(piece)
    return tuple(ConnectorSpec.parse(text) for text in texts)


def find(name: str) -> type[Connector]:
    """The class behind a name. Raises SettingsError with what there is."""
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found = getattr(import_module(f"new_stack.worker.connectors.{module}"), attribute)
    else:
        found = _load_class(name) if ":" in name else _load(name)
    if not (isinstance(found, type) and issubclass(found, Connector)):
        raise SettingsError(f"connector {name}: that is no Connector class")
    return found


def _installed() -> EntryPoints:
    from importlib.metadata import entry_points  # noqa: PLC0415 - a worker of built-in connectors starts faster without

    return entry_points(group=GROUP)


def _load(name: str) -> object:
    installed = {entry.name: entry for entry in _installed()}
    if name not in installed:
        there_are = ", ".join(sorted({*BUILT_IN, *installed}))
        raise SettingsError(f"there is no connector {name!r}; there are: {there_are}")
    try:
        return installed[name].load()
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"connector {name}: its code could not be loaded: {error}") from error


def _load_class(name: str) -> object:
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"connector {name}: its code could not be loaded: {error}") from error


class ConnectorRegistry:
    """The connectors of one worker, by the services that they serve.

    A connector serves the services given to it (`services=a+b`) and its own: those that it names, else the one of its
    own name, where that is no `module:Class`. The first one with `services=*` takes every job that is nobody's; without
    one, the worker does not claim such jobs.
    """

    def __init__(self, entries: Sequence[tuple[ConnectorSpec, Connector]]) -> None:
        self._connectors = [(spec.name, connector) for spec, connector in entries]
        self._by_service: dict[str, Connector] = {}
        self._catch_all: Connector | None = None
        self.names = tuple(spec.name for spec, _ in entries)
        for spec, connector in entries:
            connector.name = spec.name
            own = connector.services or (() if ":" in spec.name else (spec.name,))
            for service in (*spec.services, *own):
                if service != CATCH_ALL:
                    self._by_service.setdefault(service, connector)
            if CATCH_ALL in spec.services and self._catch_all is None:
                self._catch_all = connector

    @classmethod
    def build(cls, specs: Sequence[ConnectorSpec]) -> Self:
        """Build every connector. Raises SettingsError."""
        return cls([(spec, spec.build()) for spec in specs])

    @property
    def services(self) -> tuple[str, ...]:
        """The services served by name; `*` where there is a connector for all the others."""
        return (*sorted(self._by_service), *((CATCH_ALL,) if self._catch_all is not None else ()))

    def connector_for(self, service: str) -> Connector | None:
        """The connector that runs jobs of a service, or None."""
        return self._by_service.get(service, self._catch_all)

    def capabilities(self) -> list[dict[str, Any]]:
        """What each connector tells of itself, in the order given."""
        return [connector.capabilities() for _, connector in self._connectors]

    async def open(self) -> None:
        """Open every connector; where one cannot be opened, close the others again. Raises ConnectorUnusable."""
        opened: list[Connector] = []
        for name, connector in self._connectors:
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
        for _, connector in reversed(self._connectors):
            try:
                await connector.close()
            except Exception as error:  # noqa: BLE001 - the others still have to be closed
                errors.append(error)
        if errors:
            raise errors[0]
