"""`hubgate api`, `worker` and `hub`: the product's own processes, run in this one's place."""

from __future__ import annotations

import os
import sys

import click


def _becomes(name: str, module: str, about: str) -> click.Command:
    @click.command(
        name,
        help=about,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        # The process is replaced, not wrapped: signals and the exit status are then the product's own.
        os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - our own module

    return command


api = _becomes("api", "new_stack.api", "Run one API process of the new stack.")
worker = _becomes("worker", "new_stack.worker", "Run one worker process of the new stack.")
hub = _becomes("hub", "legacy_hub_sim", "Run the simulator of the legacy hub.")
