"""Matching (the plan's Phase 3A): which worker may take which job, decided by the same rules in Lua and in Python.

`Requirements` are what a job asks for, `Capabilities` what a worker offers. `why_not` is the rule in Python, the oracle
of the tests; `functions/why_not.lua` is the same rule inside Redis, where a claim uses it.
"""

from new_stack.matching.capabilities import Capabilities, CapabilitiesError, offered, read_capabilities
from new_stack.matching.oracle import Reason, why_not
from new_stack.matching.requirements import Requirements, RequirementsError, read_requirements, signature
from new_stack.matching.wording import describe

__all__ = [
    "Capabilities",
    "CapabilitiesError",
    "Reason",
    "Requirements",
    "RequirementsError",
    "describe",
    "offered",
    "read_capabilities",
    "read_requirements",
    "signature",
    "why_not",
]
