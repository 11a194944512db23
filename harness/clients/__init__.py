"""The one set of actors: sessions without I/O (`sessions`, `hub_worker`), and the same over asyncio.

`sessions`: what a client or monitor has to say, and what it is told, as `JobEvent`s; any transport can carry it.
"""
