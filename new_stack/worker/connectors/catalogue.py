"""Finds connectors by name and builds them from `NAME[:SETTINGS]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final, Self

import msgspec

from new_stack.settings import SettingsError
from new_stack.worker.connectors.connector import Connector

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

GROUP: Final = "hubgate.connectors"
"""The entry-point group under which a package names its connectors."""

BUILT_IN: Final[Mapping[str, str]] = {
    "simulation": "new_stack.worker.connectors.simulation:SimulationConnector",
    "rest-sync": "new_stack.worker.connectors.rest_sync:RestSyncConnector",
    "rest-async": "new_stack.worker.connectors.rest_async:RestAsyncConnector",
    "websocket": "new_stack.worker.connectors.websocket:WebSocketConnector",
    "comfyui": "new_stack.worker.connectors.comfyui:ComfyUIConnector",
    "a1111": "new_stack.worker.connectors.a1111:A1111Connector",
}
"""Ours, found also where the package is not installed (a checkout on the path)."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COMMA = re.compile(r"(?<!\\),")


class ConnectorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One connector as asked for: its name, the services it serves, its settings as text."""

    name: str
    services: tuple[str, ...] = ()
    """The `service_required` values that it takes besides its own name; with none, it takes what nobody else does."""
    options: dict[str, str] = {}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `NAME[:key=value,…]`; `services=a+b` is the worker's own key. A comma in a value is written `\\,`."""
        name, _, rest = text.strip().partition(":")
        if not _NAME.fullmatch(name):
            raise SettingsError(f"connector {text!r}: a name is letters, digits, '.', '_' and '-'")
        options: dict[str, str] = {}
        for piece in filter(None, _COMMA.split(rest)):
            key, equals, value = piece.partition("=")
            if not equals:
                raise SettingsError(f"connector {name}: {piece!r} is not of the form setting=value")
            options[key.strip()] = value.replace("\\,", ",").strip()
        services = tuple(filter(None, options.pop("services", "").split("+")))
        return cls(name=name, services=services, options=options)


def parse_list(text: str) -> tuple[ConnectorSpec, ...]:
    """Read several connectors, separated by commas: `simulation,rest-sync:url=http://host/run,timeout_s=60`.

    A piece `key=value` goes on with the settings of the connector before it; any other piece begins a connector.
    """
    texts: list[str] = []
    for piece in filter(None, (piece.strip() for piece in _COMMA.split(text))):
        head = piece.partition("=")[0]
        if texts and "=" in piece and ":" not in head:
            texts[-1] += ("," if ":" in texts[-1] else ":") + piece
        else:
            texts.append(piece)
    return tuple(ConnectorSpec.parse(text) for text in texts)


def names() -> tuple[str, ...]:
    """Every connector that can be named here: ours and those of installed packages."""
    return tuple(sorted({*BUILT_IN, *(entry.name for entry in _installed())}))


def find(name: str) -> type[Connector]:
    """The class behind a name. Raises SettingsError with what there is."""
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found = getattr(import_module(module), attribute)
    else:
        found = _load(name)
    if not (isinstance(found, type) and issubclass(found, Connector)):
        raise SettingsError(f"connector {name}: the entry point names no Connector class")
    return found


def _installed() -> EntryPoints:
    from importlib.metadata import entry_points  # noqa: PLC0415 - a worker of built-in connectors starts faster without

    return entry_points(group=GROUP)


def _load(name: str) -> object:
    entries = [entry for entry in _installed() if entry.name == name]
    if not entries:
        raise SettingsError(f"there is no connector {name!r}; there are: {', '.join(names())}")
    try:
        return entries[0].load()
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"connector {name}: its code could not be loaded: {error}") from error


def build(spec: ConnectorSpec) -> Connector:
    """The connector with its typed settings. Raises SettingsError that names the setting."""
    kind = find(spec.name)
    known = {field.encode_name for field in msgspec.structs.fields(kind.Settings)}
    unknown = sorted(set(spec.options) - known)
    if unknown:
        raise SettingsError(
            f"connector {spec.name}: there is no setting {unknown[0]!r}; "
            f"there are: {', '.join(sorted(known)) or 'none'}"
        )
    try:
        settings = msgspec.convert(spec.options, kind.Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"connector {spec.name}: {error}") from error
    return kind(settings)
