--@include context
-- version: the version of the library that is loaded. VERSION stands in the loader, once.
-- Keys: `ready`. Arguments: none. Reply: a whole number.
-- Invariant: a process replaces only an older library, so that two versions side by side do not flap.
reads('version', function() return VERSION end)
