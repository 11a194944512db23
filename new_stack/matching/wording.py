"""The reasons in words, for `hubgate explain` and the dashboard."""

from __future__ import annotations

from typing import Final

from new_stack.matching.oracle import Reason

_SENTENCES: Final = {
    "service": "it does not serve {value!r}",
    "hardware.gpu_memory_gb": "it has too little GPU memory",
    "hardware.gpu_count": "it has too few GPUs",
    "hardware.cpu_cores": "it has too few CPU cores",
    "hardware.ram_gb": "it has too little memory",
    "hardware.disk_gb": "it has too little disk space",
    "hardware.gpu_model": "its GPU is not one of the models asked for",
    "models": "it does not have the model {value!r}",
    "components": "it does not have the component {value!r}",
    "workflow": "it does not serve the workflow {value!r}",
    "region": "it is not in a region asked for",
    "exclude.workers": "the job excludes this worker",
    "exclude.gpu_model": "the job excludes its GPU, {value!r}",
    "exclude.models": "the job excludes workers with the model {value!r}",
    "exclude.components": "the job excludes workers with the component {value!r}",
    "exclude.region": "the job excludes its region, {value!r}",
    "customer.denied": "it takes no job of the customer {value!r}",
    "customer.not_allowed": "it takes jobs of its own customers only, and {value!r} is not one of them",
    "customer.isolation": "the job asks for {value} isolation, and this worker does not give it",
    "matching": "it serves {value!r}, but does not look at requirements: HUBGATE_MATCHING is off there",
    "failed_last": "it failed the job last, and another worker that can take it has a free place",
    "service.paused": "the service {value!r} is paused",
    "worker.draining": "it is being drained",
    "malformed": "{value!r} cannot be read",
}


def describe(reason: Reason) -> str:
    """One clause that says why the worker cannot take the job."""
    return _SENTENCES[reason.rule].format(value=reason.value)
