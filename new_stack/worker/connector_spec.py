"""A connector as it is asked for: read from `NAME[:SETTINGS]`, found by name, and built with its typed settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Final, Self

import msgspec

from new_stack.settings import SettingsError
from new_stack.worker.connectors import Connector
from new_stack.worker.connectors.threads import ThreadedConnector

GROUP: Final = "hubgate.connectors"
"""The entry-point group under which a package names its connectors."""

_OURS: Final = "new_stack.worker.connectors"
BUILT_IN: Final[Mapping[str, str]] = {
    "simulation": f"{_OURS}.simulation:SimulationConnector",
    "rest-sync": f"{_OURS}.rest:RestSyncConnector",
    "rest-async": f"{_OURS}.rest:RestAsyncConnector",
    "websocket": f"{_OURS}.websocket:WebSocketConnector",
    "comfyui": f"{_OURS}.comfyui:ComfyUIConnector",
    "a1111": f"{_OURS}.a1111:A1111Connector",
    "tasks": f"{_OURS}.tasks:TaskConnector",
}
"""Our own: each is imported only where it is used."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CLASS = re.compile(r"([A-Za-z_][\w.]*:[A-Z]\w*)(?::(.*))?", re.DOTALL)
"""`module:Class`, and settings behind it: a class begins with a capital letter and is no `setting=value`."""
_COMMA = re.compile(r"(?<!\\),")


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
    module, colon, attribute = BUILT_IN.get(name, name).partition(":")
    try:
        found = getattr(import_module(module), attribute) if colon else _installed(name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"connector {name}: its code could not be loaded: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Connector)):
        raise SettingsError(f"connector {name}: that is no Connector class")
    return found


def _installed(name: str) -> object:
    from importlib.metadata import entry_points  # noqa: PLC0415 - a worker of built-in connectors starts faster without

    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in installed:
        raise SettingsError(f"there is no connector {name!r}; there are: {', '.join(sorted({*BUILT_IN, *installed}))}")
    return installed[name].load()
