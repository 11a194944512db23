"""The rule in Python: why a worker may not take a job. `functions/why_not.lua` decides the same inside Redis.

Both work on decoded JSON of any shape, because what stands in Redis may be anybody's: what no rule can read is
`malformed`, and concerns that job or that worker alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from new_stack.matching.requirements import AMOUNTS

ALL: Final = "all"


class Reason(msgspec.Struct, frozen=True):
    """The first rule that a pair breaks: which one, and the name or amount that decided it."""

    rule: str
    value: str = ""


class _Malformed(Exception):  # noqa: N818 - caught in this file
    """A field that no rule can read."""


def why_not(job: Mapping[str, Any], worker: Mapping[str, Any]) -> Reason | None:
    """The first reason why the worker may not take the job, None where it may.

    `job` has `service`, `customer` and `requirements`; `worker` has `id` and `capabilities`.
    """
    try:
        return _first_reason(job, worker)
    except _Malformed as field:
        return Reason("malformed", str(field))


def _first_reason(job: Mapping[str, Any], worker: Mapping[str, Any]) -> Reason | None:
    offers = _table(worker.get("capabilities"), "capabilities")
    asks = _table(job.get("requirements"), "requirements")
    hardware, has = _table(asks.get("hardware"), "hardware"), _table(offers.get("hardware"), "capabilities.hardware")
    exclude = _table(asks.get("exclude"), "exclude")
    return (
        _lacks_service(job, offers)
        or _one_of(exclude, "workers", worker.get("id"), "exclude.workers")
        or _too_small(hardware, has)
        or _not_among(hardware, "gpu_model", has.get("gpu_model"), "hardware.gpu_model")
        or _one_of(exclude, "gpu_model", has.get("gpu_model"), "exclude.gpu_model")
        or _missing(asks, "models", offers.get("models"))
        or _missing(asks, "components", offers.get("components"))
        or _present(exclude, "models", offers.get("models"))
        or _present(exclude, "components", offers.get("components"))
        or _lacks_workflow(asks.get("workflow"), offers.get("workflows"))
        or _not_among(asks, "region", offers.get("region"), "region")
        or _one_of(exclude, "region", offers.get("region"), "exclude.region")
        or _other_customers(job.get("customer"), asks.get("isolation"), offers)
    )


def _lacks_service(job: Mapping[str, Any], offers: Mapping[str, Any]) -> Reason | None:
    service = job.get("service")
    served = _names(offers.get("services"), "capabilities.services")
    if served == ALL or (served is not None and ("*" in served or service in served)):
        return None
    return Reason("service", service if isinstance(service, str) else "")


def _too_small(asks: Mapping[str, Any], has: Mapping[str, Any]) -> Reason | None:
    for field in AMOUNTS:
        least = asks.get(field)
        if least is None or least == ALL:
            continue
        if not _is_number(least):
            raise _Malformed(f"hardware.{field}")
        there: Any = has.get(field)
        if not _is_number(there) or float(there) < float(least):
            return Reason(f"hardware.{field}")
    return None


def _not_among(asks: Mapping[str, Any], field: str, has: object, rule: str) -> Reason | None:
    wanted = _names(asks.get(field), rule)
    if wanted is None or wanted == ALL:
        return None
    return None if isinstance(has, str) and has in wanted else Reason(rule, has if isinstance(has, str) else "")


def _one_of(asks: Mapping[str, Any], field: str, has: object, rule: str) -> Reason | None:
    unwanted = _names(asks.get(field), rule)
    if unwanted is None or not isinstance(has, str):
        return None
    return Reason(rule, has) if unwanted == ALL or has in unwanted else None


def _missing(asks: Mapping[str, Any], field: str, has: object) -> Reason | None:
    wanted, there = _names(asks.get(field), field), _names(has, f"capabilities.{field}")
    if wanted is None or ALL in (wanted, there):
        return None
    return next((Reason(field, name) for name in wanted if there is None or name not in there), None)


def _present(exclude: Mapping[str, Any], field: str, has: object) -> Reason | None:
    unwanted, there = _names(exclude.get(field), f"exclude.{field}"), _names(has, f"capabilities.{field}")
    if unwanted is None or there is None:
        return None
    if unwanted == ALL:
        return Reason(f"exclude.{field}") if there else None
    return next((Reason(f"exclude.{field}", name) for name in unwanted if there == ALL or name in there), None)


def _lacks_workflow(workflow: object, served: object) -> Reason | None:
    if workflow is None or workflow == ALL:
        return None
    if not isinstance(workflow, str):
        raise _Malformed("workflow")
    names = _names(served, "capabilities.workflows")
    return None if names is None or names == ALL or workflow in names else Reason("workflow", workflow)


def _other_customers(customer: object, isolation: object, offers: Mapping[str, Any]) -> Reason | None:
    """The deny list holds always; the rest depends on how strictly either side wants to be apart."""
    if isolation not in (None, "none", "loose", "strict"):
        raise _Malformed("isolation")
    takes = _table(offers.get("customers"), "capabilities.customers")
    kept_apart = takes.get("isolation")
    if kept_apart not in (None, "none", "loose", "strict"):
        raise _Malformed("capabilities.customers.isolation")
    deny, allow = (_names(takes.get(field), f"capabilities.customers.{field}") for field in ("deny", "allow"))
    name = customer if isinstance(customer, str) else None
    if deny == ALL or (deny is not None and name is not None and name in deny):
        return Reason("customer.denied", name or "")
    allowed = name is not None and (allow == ALL or (allow is not None and name in allow))
    if kept_apart == "strict" and not allowed:
        return Reason("customer.not_allowed", name or "")
    if kept_apart == "loose" and name is not None and allow is not None and not allowed:
        return Reason("customer.not_allowed", name)
    if isolation == "strict" and not (kept_apart == "strict" and allowed):
        return Reason("customer.isolation", "strict")
    if isolation == "loose" and not (kept_apart in ("loose", "strict") and allowed):
        return Reason("customer.isolation", "loose")
    return None


def _table(value: object, field: str) -> Mapping[str, Any]:
    """A JSON object; absent, null and an empty list (which Lua cannot tell apart) are an empty one."""
    if value is None or value == []:
        return {}
    if not isinstance(value, dict):
        raise _Malformed(field)
    return value


def _names(value: object, field: str) -> list[str] | str | None:
    """A list of names, "all", or None; one name alone is a list of one."""
    if value is None or value == ALL:
        return ALL if value == ALL else None
    if isinstance(value, str):
        return [value]
    if value == {}:
        return []
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise _Malformed(field)
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
