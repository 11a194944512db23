"""Generated mutants of the stack: mistakes that nobody chose, to measure how many of them the gate sees.

`places` finds where a file can be changed, `sample` draws mutants with a seed, `apply` makes a copy of the stack that
has one. What share was caught is `harness.results.power`.
"""

from harness.defects.mutants.equivalents import Equivalent, load_equivalents
from harness.defects.mutants.mutant import Mutant, Place, apply
from harness.defects.mutants.sampling import places, sample

__all__ = [
    "Equivalent",
    "Mutant",
    "Place",
    "apply",
    "load_equivalents",
    "places",
    "sample",
]
