"""What a job asks of its worker: the `requirements` of a submission, validated, and their signature."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

NAMES_LIMIT: Final = 64
"""Most names in one list: a claim compares each of them."""

SIGNATURE_LIMIT: Final = 8_192
"""Longest JSON of what a job asks for, in bytes: a claim compares it with others'."""

Name = str
Names = Name | list[Name]
Any_ = Literal["all"]
"""In a requirement: any worker will do, as if the field were absent."""


class Isolation(StrEnum):
    """How far a customer's jobs and workers are kept apart from others'."""

    NONE = "none"
    LOOSE = "loose"
    STRICT = "strict"


class HardwareNeeds(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Least amounts, and the models of GPU that will do. "all": any amount, any model."""

    gpu_memory_gb: float | Any_ | None = None
    gpu_count: float | Any_ | None = None
    cpu_cores: float | Any_ | None = None
    ram_gb: float | Any_ | None = None
    disk_gb: float | Any_ | None = None
    gpu_model: Names | None = None


class Exclusions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the worker must not be, or must not have."""

    region: Names | None = None
    gpu_model: Names | None = None
    models: Names | None = None
    components: Names | None = None
    workers: Names | None = None


class Requirements(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """All that a job may ask for. An absent field asks for nothing."""

    hardware: HardwareNeeds | None = None
    models: Names | None = None
    """Names that must all be present."""
    components: Names | None = None
    workflow: Name | None = None
    """A workflow that the worker must serve."""
    region: Names | None = None
    """One of these."""
    isolation: Isolation | None = None
    """`strict`: only a worker that takes nobody else's jobs. `loose`: only one that names the customer as allowed."""
    exclude: Exclusions | None = None


class RequirementsError(ValueError):
    """Requirements that no rule can work with. `field` says where, as a path such as `hardware.ram_gb`."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


def read_requirements(raw: object) -> Requirements:
    """Requirements from decoded JSON. Raises RequirementsError with the field named."""
    try:
        read = msgspec.convert(raw, Requirements)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        raise RequirementsError(f"requirements{path.rstrip('`')}", text) from None
    _check_amounts(read)
    for path, names in _lists(read):
        if len(names) > NAMES_LIMIT:
            raise RequirementsError(f"requirements.{path}", f"lists {len(names)} names; the limit is {NAMES_LIMIT}")
    return read


def _check_amounts(read: Requirements) -> None:
    for field in AMOUNTS if read.hardware else ():
        amount = getattr(read.hardware, field)
        if isinstance(amount, float) and amount < 0:
            raise RequirementsError(f"requirements.hardware.{field}", "must not be negative")


def _lists(read: Requirements) -> list[tuple[str, list[str]]]:
    tables: list[tuple[str, Any]] = [("", read), ("hardware.", read.hardware), ("exclude.", read.exclude)]
    return [
        (prefix + name, value)
        for prefix, table in tables
        if table is not None
        for name in table.__struct_fields__
        if isinstance(value := getattr(table, name), list)
    ]


AMOUNTS: Final = ("gpu_memory_gb", "gpu_count", "cpu_cores", "ram_gb", "disk_gb")
"""The hardware fields that are least amounts, in the order in which they are compared."""


def signature(service: str, customer: str | None, requirements: Requirements | None) -> str:
    """The name of all jobs that any worker can or cannot take alike: a claim looks at each signature once.

    It says itself what they ask for: the service, a line break, and the rest as JSON. So the look needs nothing else,
    and nobody else's damage can change what it finds. The customer is part of it, because a worker's deny list holds
    for jobs that ask for no isolation, too. Raises RequirementsError where all together is too long.
    """
    if requirements in (None, Requirements()) and customer is None:
        return service
    asks = _Asks(customer=customer, requirements=None if requirements == Requirements() else requirements)
    text = msgspec.json.encode(asks, order="sorted")
    if len(text) > SIGNATURE_LIMIT:
        raise RequirementsError("requirements", f"has {len(text)} bytes as JSON; the limit is {SIGNATURE_LIMIT}")
    return f"{service}\n{text.decode()}"


class _Asks(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    customer: str | None = None
    requirements: Requirements | None = None
