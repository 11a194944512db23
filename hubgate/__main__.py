"""`python -m hubgate`, which is `hubgate`."""

from hubgate.cli import main

main()
