"""What deprecation.toml says: who is given notice, when brown-outs are, and whether the hub's protocols are served."""

from __future__ import annotations

from datetime import date
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from new_stack.api.retirement.callers import Caller
from new_stack.api.retirement.schedule import Schedule
from new_stack.settings import SettingsError

schedule_of = lru_cache(maxsize=64)(Schedule.parse)


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom a rule means: clients by their ids (`*` and `?` stand for any letters), and dialects."""

    clients: tuple[str, ...] = ("*",)
    dialects: tuple[Literal["hub", "later"], ...] = ("hub", "later")

    def covers(self, caller: Caller) -> bool:
        """Whether it means this caller."""
        return caller.dialect in self.dialects and any(fnmatchcase(caller.client, name) for name in self.clients)


class Notice(Scope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Clients are told since when the hub's protocols are deprecated, when they go, and where to read on."""

    deprecated: date
    sunset: date | None = None
    link: Annotated[str, Meta(pattern=r"^([a-z]+://[^\s<>\"]+)?$", max_length=500)] = ""
    message: Annotated[str, Meta(max_length=500)] = ""


class BrownOut(Scope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From each minute of the schedule on, the hub's protocols are refused for a while, to a share of the clients."""

    schedule: str
    minutes: Annotated[int, Meta(ge=1, le=1440)]
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    seed: int = 0
    """Draws who is in the share: under one seed, a larger share holds those of a smaller one."""
    interrupt: bool = False
    """Also refuse clients that have jobs in flight."""

    def __post_init__(self) -> None:
        """Raises ValueError for a schedule that is none."""
        schedule_of(self.schedule)


class Deprecation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything. As it stands here, nothing is deprecated."""

    legacy: bool = True
    """The final switch: whether the hub's protocols are served."""
    notice: tuple[Notice, ...] = ()
    brown_out: tuple[BrownOut, ...] = ()


NOTHING = Deprecation()


def read_deprecation(text: str, where: str) -> Deprecation:
    """Read the TOML. Raises SettingsError with what is wrong."""
    try:
        return msgspec.toml.decode(text, type=Deprecation)
    except (msgspec.DecodeError, ValueError) as error:
        raise SettingsError(f"{where}: {error}.") from None


def read_deprecation_file(path: str) -> Deprecation:
    """The same from a file; one that is not there deprecates nothing. Raises SettingsError."""
    try:
        return read_deprecation(Path(path).read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        return NOTHING
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from None
