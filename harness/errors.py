"""What keeps the harness from running; each with a sentence for the person at the terminal."""

from __future__ import annotations


class CouldNotRun(Exception):  # noqa: N818 - the state is the name
    """The root: nothing was judged. The command line answers with exit status 3."""
