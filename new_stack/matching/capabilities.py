"""What a worker offers: its `capabilities`, from a file, the environment or its connectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from new_stack.matching.requirements import Isolation, RequirementsError

Everything = Literal["all"]


class Hardware(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the machine has; what is not named is not there."""

    gpu_memory_gb: float | None = None
    gpu_count: float | None = None
    cpu_cores: float | None = None
    ram_gb: float | None = None
    disk_gb: float | None = None
    gpu_model: str | None = None


class Customers(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Whose jobs the worker takes.

    `deny` holds always. `allow`: with `strict` nobody else's jobs, and none without a customer; with `loose` no other
    customer's, but those without one; with `none` it is not looked at.
    """

    isolation: Isolation = Isolation.NONE
    allow: list[str] | None = None
    deny: list[str] | None = None


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """All that a worker may offer. `"all"` is every name that could be asked for."""

    services: list[str] | Everything = msgspec.field(default_factory=list)
    hardware: Hardware | None = None
    models: list[str] | Everything | None = None
    components: list[str] | Everything | None = None
    workflows: list[str] | Everything | None = None
    """Without it the worker serves every workflow."""
    customers: Customers | None = None
    region: str | None = None


class CapabilitiesError(RequirementsError):
    """Capabilities that no rule can work with. `field` says where."""


LOOKED_AT: Final = frozenset(Capabilities.__struct_fields__) - {"services"}


def offered(told: Mapping[str, Any]) -> str:
    """What matching looks at of all that a worker tells of itself, as JSON in one form.

    A worker may tell more, of its hardware too: that is shown and not looked at. Raises CapabilitiesError with the
    field named.
    """
    known = {name: value for name, value in told.items() if name in LOOKED_AT}
    hardware = known.get("hardware")
    if isinstance(hardware, dict):
        known["hardware"] = {name: value for name, value in hardware.items() if name in Hardware.__struct_fields__}
    return msgspec.json.encode(read_capabilities(known), order="sorted").decode()


def read_capabilities(raw: object) -> Capabilities:
    """Capabilities from decoded JSON. Raises CapabilitiesError with the field named."""
    try:
        return msgspec.convert(raw, Capabilities)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        raise CapabilitiesError(f"capabilities{path.rstrip('`')}", text) from None
