"""Generated mutants of the stack: mistakes that nobody chose, to measure how many of them the gate sees.

`places` finds where a file can be changed, `sample` draws mutants with a seed, `apply` makes a copy of the stack that
has one. What share was caught is `harness.results.outcomes`.
"""

from harness.defects.mutants.mutant import Equivalent as Equivalent
from harness.defects.mutants.mutant import Mutant as Mutant
from harness.defects.mutants.mutant import Place as Place
from harness.defects.mutants.mutant import apply as apply
from harness.defects.mutants.mutant import load_equivalents as load_equivalents
from harness.defects.mutants.sampling import places as places
from harness.defects.mutants.sampling import sample as sample
