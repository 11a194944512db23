"""Our load as a guest in Locust: `install(locust.events)` adds its options, its page, its distribution, its result.

Works in every mode Locust has: with the web page, headless, and distributed over processes or machines.
"""

from loadtests.swarm.guest import install

__all__ = ["install"]
