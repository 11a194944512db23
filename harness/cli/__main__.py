"""`python -m harness.cli`, which is `hubgate`."""

from harness.cli import main

main()
