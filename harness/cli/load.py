"""`hubgate load`: the project's load generator, which is `python -m loadtests`, under the one command line."""

from loadtests.cli import main as load

__all__ = ["load"]
