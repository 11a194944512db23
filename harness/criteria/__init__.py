"""The criteria of the gate, and their limits."""
