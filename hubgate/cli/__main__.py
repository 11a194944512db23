"""`python -m hubgate.cli`, which is `hubgate`."""

from hubgate.cli import main

main()
