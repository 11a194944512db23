"""The seeded defects, by what they get wrong. Each is a mistake that such a migration has made somewhere."""

from harness.defects.catalogue import holding, legacy, telling, the_line

ALL = (*legacy.DEFECTS, *the_line.DEFECTS, *holding.DEFECTS, *telling.DEFECTS)

__all__ = ["ALL"]
