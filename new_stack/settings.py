"""Reads settings: options over environment variables over defaults. Every process of the stack uses this reader.

A settings class is a msgspec struct. The type of a field says how its text is read: `str`, `int`, `float`, `bool`, or
a tuple (separated by commas). Fields that are settings themselves (a struct) are given as options.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)
Parse = Callable[[str], Any]

_NUMBERS: Final = {int: "a whole number", float: "a number"}
_TRUTHS: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_NO_PARSERS: Final[Mapping[str, Parse]] = MappingProxyType({})


class SettingsError(Exception):
    """A setting that cannot work: one sentence that names it."""


def read_settings(
    kind: type[S],
    environment: Mapping[str, str],
    options: Mapping[str, Any] | None = None,
    *,
    name_of: Callable[[str], str],
    parsers: Mapping[str, Parse] = _NO_PARSERS,
) -> S:
    """Build settings. `options` are by field name, None where not given; `name_of` names a field's variable.

    `parsers` read the fields that need a reader of their own. Raises SettingsError.
    """
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = name_of(field.name)
        if name in environment:
            parse = parsers.get(field.name)
            raw = environment[name]
            values[field.name] = parse(raw) if parse else _parse(name, raw, field.type)
    values.update({name: value for name, value in (options or {}).items() if value is not None})
    return kind(**values)


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
    the settings: they say which are numbers; what is no number and no text may be given several times.
    """
    types = {field.name: field.type for kind in kinds for field in msgspec.structs.fields(kind)}
    parser = argparse.ArgumentParser(prog=prog, description=description)
    for flag, setting, value, text in options:
        kind = types.get(setting)
        more: dict[str, Any] = {"type": kind} if kind in {int, float, str} else {"action": "append"}
        parser.add_argument(flag, dest=setting, metavar=value, help=text, **more)
    return vars(parser.parse_args(arguments))


def check_numbers(
    settings: msgspec.Struct, *, name_of: Callable[[str], str], zero_allowed: frozenset[str] = frozenset()
) -> None:
    """Raise SettingsError for a number below 0, and for 0 unless the field is one of `zero_allowed`."""
    for field in settings.__struct_fields__:
        value = getattr(settings, field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not value > 0 and not (value == 0 and field in zero_allowed):
            least = "0 or more" if field in zero_allowed else "greater than 0"
            raise SettingsError(f"{name_of(field)} must be {least}, not {value}.")


def _parse(name: str, raw: str, kind: Any) -> Any:
    if kind is str:
        return raw
    if kind is bool:
        if raw.lower() not in _TRUTHS:
            raise SettingsError(f"{name} must be true or false, not {raw!r}.")
        return _TRUTHS[raw.lower()]
    if kind in _NUMBERS:
        try:
            return kind(raw)
        except ValueError:
            raise SettingsError(f"{name} must be {_NUMBERS[kind]}, not {raw!r}.") from None
    return tuple(part.strip() for part in raw.split(",") if part.strip())
