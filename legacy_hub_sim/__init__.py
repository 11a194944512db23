"""The legacy hub as its clients know it, faults included: a pure core and a thin server."""
