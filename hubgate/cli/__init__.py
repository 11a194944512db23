"""The command line: `hubgate COMMAND`. A command's module is imported when it is called.

So the stack's commands work where only the stack's dependencies are installed.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import traceback
from typing import Final, NoReturn

import click

from harness.errors import CouldNotRun, WrongUsage

WRONG_USAGE: Final = 2
COULD_NOT_RUN: Final = 3
"""Exit status of a run that could not be carried out or could not know (0 pass, 1 fail)."""

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "gate": ("hubgate.cli.gate", "Judge the new stack against the hub: one verdict, one report."),
    "up": ("hubgate.cli.up", "Run the new stack on this machine: Valkey, API, workers, dashboard."),
    "api": ("hubgate.cli.processes", "Run one API process of the new stack."),
    "worker": ("hubgate.cli.processes", "Run one worker process of the new stack."),
    "hub": ("hubgate.cli.processes", "Run the simulator of the legacy hub."),
    "record": ("hubgate.cli.cassettes", "Record the traffic between real clients and a real hub."),
    "replay": ("hubgate.cli.cassettes", "Play cassettes against a hub or a stack."),
    "parity": ("hubgate.cli.cassettes", "Play the project's cassettes against both sides and compare."),
    "shadow": ("hubgate.cli.shadow", "Let a stack follow a hub's live traffic, and compare; clients notice nothing."),
    "load": ("hubgate.cli.load", "Put load on a hub or a stack and report what it did."),
    "selftest": ("hubgate.cli.gate", "Run the gate against seeded defects: each must be caught."),
    "report": ("hubgate.cli.gate", "Write a run's report again from its run.json."),
    "compare": ("hubgate.cli.kept_runs", "Hold a run against earlier ones: what is worse, the same, better."),
    "trend": ("hubgate.cli.kept_runs", "Show each figure over the runs in a folder."),
    "can-switch": ("hubgate.cli.kept_runs", "Say from kept runs whether an environment may switch to a stack."),
    "init": ("hubgate.cli.init", "Write a CI workflow or a first scenario into this repository."),
    "explain": ("hubgate.cli.running_stack", "Say which workers could take a job, and why the others cannot."),
    "failures": ("hubgate.cli.running_stack", "List failed jobs by reason; retry or drop them together."),
    "usage": ("hubgate.cli.running_stack", "Say which clients still use the hub's protocols, and how."),
    "retire": ("hubgate.cli.running_stack", "Answer whether WebSocket can go, and name who is left."),
    "doctor": ("hubgate.cli.doctor", "Say what this machine has and lacks."),
}
"""Command → the module that holds it (under its own name), and its line in `hubgate --help`."""


class LazyGroup(click.Group):
    """A group that imports a command only when it is called, and lists all without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now; a missing extra is told in one sentence."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        try:
            command = getattr(importlib.import_module(module), cmd_name.replace("-", "_"))
        except ModuleNotFoundError as missing:
            if missing.name and missing.name.split(".")[0] in {"harness", "new_stack", "legacy_hub_sim", "reports"}:
                raise
            raise click.UsageError(
                f"`hubgate {cmd_name}` needs the package {missing.name}: pip install 'hubgate[gate]'"
            ) from missing
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{cmd_name} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in `--help`, from COMMANDS alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hubgate")
def cli() -> None:
    """Prove that a Redis-direct job stack can replace a WebSocket hub, and run that stack.

    Exit status: 0 pass, 1 fail, 2 wrong usage, 3 inconclusive or could not be run.
    """


def main() -> NoReturn:
    """The entry point: errors become one sentence and an exit status, never a traceback on the terminal."""
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("hubgate: stopped", err=True)
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the last who can tell it; status 1 would be a verdict
        cause = error
        while isinstance(cause, ExceptionGroup):
            cause = cause.exceptions[0]
        click.echo(f"hubgate: {_sentence(error, cause)}", err=True)
        sys.exit(WRONG_USAGE if isinstance(cause, WrongUsage) else COULD_NOT_RUN)
    sys.exit(0)


def _sentence(error: Exception, cause: Exception) -> str:
    """What a person is told; the traceback of what is a fault of ours goes into a file."""
    if isinstance(cause, CouldNotRun):
        return str(cause)
    if isinstance(cause, OSError):
        return f"{cause.filename}: {cause.strerror}" if cause.filename else cause.strerror or str(cause)
    told = f"this is a fault of hubgate itself ({type(cause).__name__}: {cause})"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="hubgate-fault-", suffix=".txt", delete=False) as file:
            traceback.print_exception(error, file=file)
    except OSError:  # nothing can be written anywhere
        return told
    return f"{told}; its traceback is in {file.name}"
