"""The front door: what a user imports, and the command line."""
