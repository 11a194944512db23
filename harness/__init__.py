"""The harness: starts both sides, plays clients against them, breaks things, compares and judges."""
