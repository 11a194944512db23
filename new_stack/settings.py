"""Reads settings: options over environment variables over defaults. Every process of the stack uses this reader.

The type of a field says how its text is read: `str`, `int`, `float`, `bool`, or a tuple (separated by commas). A field
that is settings itself is read from the same environment and the same options.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import msgspec

Parse = Callable[[str], Any]

_TRUTHS: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_READERS: Final[Mapping[Any, tuple[Parse, str]]] = {
    str: (str, "text"),
    bool: (lambda raw: _TRUTHS[raw.lower()], "true or false"),
    int: (int, "a whole number"),
    float: (float, "a number"),
}
"""How a text is read by the type of its field, and what it has to be."""


class SettingsError(Exception):
    """A setting that cannot work: one sentence that names it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The root of all settings: says how its fields are called in the environment, and reads them."""

    PREFIX: ClassVar[str] = "HUBGATE_"
    """Before a field's name in capitals: the variable that sets it."""
    NAMES: ClassVar[Mapping[str, str]] = {}
    """The fields whose variable has another name."""
    PARSERS: ClassVar[Mapping[str, Parse]] = {}
    """The fields that need a reader of their own."""
    ZERO_ALLOWED: ClassVar[frozenset[str]] = frozenset()
    """The numbers that may be 0; none may be less."""

    @classmethod
    def variable(cls, field: str) -> str:
        """The environment variable that sets a field."""
        return cls.NAMES.get(field, f"{cls.PREFIX}{field.upper()}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], options: Mapping[str, Any] | None = None) -> Self:
        """Read every setting; `options` (by field name, None where not given) win, an empty variable says nothing.

        Raises SettingsError.
        """
        given = options or {}
        values: dict[str, Any] = {}
        for field in msgspec.structs.fields(cls):
            name = cls.variable(field.name)
            if given.get(field.name) is not None:
                values[field.name] = given[field.name]
            elif isinstance(field.default, Settings):
                values[field.name] = field.type.from_environment(environment, given)
            elif raw := environment.get(name):
                parse = cls.PARSERS.get(field.name)
                values[field.name] = parse(raw) if parse else _parse(name, raw, field.type)
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """Raise SettingsError where a value cannot work, alone or beside another."""
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if not value > 0 and not (value == 0 and field in self.ZERO_ALLOWED):
                least = "0 or more" if field in self.ZERO_ALLOWED else "greater than 0"
                raise SettingsError(f"{self.variable(field)} must be {least}, not {value}.")


def read_options(
    arguments: Sequence[str],
    options: Iterable[tuple[str, str, str, str]],
    kinds: Iterable[type[msgspec.Struct]],
    *,
    prog: str,
    description: str,
) -> dict[str, Any]:
    """Parse a command line; the values by setting, None where not given. Ends the process where it is wrong.

    Each option has its flag, the setting that it sets, what stands for its value in the help, and its help. `kinds` are
    the settings: they say which are numbers; what is no number and no text may be given several times, as a tuple.
    """
    types = {field.name: field.type for kind in kinds for field in msgspec.structs.fields(kind)}
    parser = argparse.ArgumentParser(prog=prog, description=description)
    for flag, setting, value, text in options:
        kind = types.get(setting)
        more: dict[str, Any] = {"type": kind} if kind in {int, float, str} else {"action": "append"}
        parser.add_argument(flag, dest=setting, metavar=value, help=text, **more)
    found = vars(parser.parse_args(arguments))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def _parse(name: str, raw: str, kind: Any) -> Any:
    read, what = _READERS.get(kind, (_parts, "a list"))
    try:
        return read(raw)
    except (KeyError, ValueError):
        raise SettingsError(f"{name} must be {what}, not {raw!r}.") from None


def _parts(raw: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in raw.split(",") if part.strip())
