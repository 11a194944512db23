"""The later dialect, which some monitors and clients speak on the same paths. The hub itself does not know it."""
