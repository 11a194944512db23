"""A Redis that fails over: its address by Sentinels, alternatives, TLS and sockets, and its primary of the moment."""
