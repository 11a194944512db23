"""The limits that criteria are held to and the least evidence that they need, from a TOML file people can change.

Every name must be known: a misspelt limit must not be one that is never applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.criteria.definition import AnySpec, CriterionSpec, E, L
from harness.toml_files import UnreadableFile, read_toml

DEFAULT: Final = Path(__file__).with_name("limits.toml")
SCHEMA: Final = 2


class LimitsFile:
    """A file that was read: for each criterion, in the file's order, its limits and its least evidence by profile."""

    def __init__(self, limits: Mapping[str, Any], least: Mapping[str, Mapping[str, Any]]) -> None:
        self._limits, self._least = limits, least

    @property
    def order(self) -> list[str]:
        """The criteria's ids as the file, and so the report, has them."""
        return list(self._limits)

    def limits(self, spec: CriterionSpec[L, E]) -> L:
        """What the criterion is held to."""
        found: L = self._limits[spec.id]
        return found

    def least(self, spec: CriterionSpec[L, E], profile: str) -> E:
        """The least evidence that the criterion needs in a run of that profile. Raises UnreadableFile."""
        try:
            found: E = self._least[spec.id][profile]
        except KeyError:
            raise UnreadableFile(f"the limits of {spec.id} have no least.{profile}") from None
        return found


def load_limits(specs: Mapping[str, AnySpec], path: Path = DEFAULT) -> LimitsFile:
    """Read the limits of these criteria. Raises UnreadableFile."""
    tables = read_toml(path, dict[str, Any])
    schema = tables.pop("schema", None)
    if schema != SCHEMA:
        raise UnreadableFile(f"{path}: schema {schema} is not known here; this version reads schema {SCHEMA}")
    for unknown in tables.keys() - specs.keys():
        raise UnreadableFile(f"{path}: there is no criterion {unknown}")
    for missing in specs.keys() - tables.keys():
        raise UnreadableFile(f"{path}: the limits of the criterion {missing} are missing")
    limits: dict[str, Any] = {}
    least: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        profiles = table.pop("least", {})
        try:
            limits[name] = msgspec.convert(table, specs[name].limits)
            least[name] = {profile: msgspec.convert(one, specs[name].least) for profile, one in profiles.items()}
        except msgspec.ValidationError as error:
            raise UnreadableFile(f"{path}: [{name}]: {error}") from error
    return LimitsFile(limits, least)
