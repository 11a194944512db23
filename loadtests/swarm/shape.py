"""A plan as a Locust shape: the users stay, the plan runs to its end, and the last jobs get their time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locust import LoadTestShape

if TYPE_CHECKING:
    from loadtests.swarm.guest import Guest


class PlanShape(LoadTestShape):
    """Stops the test when the plan is through and no job is under way, or when the drain time is over."""

    abstract = True  # so that Locust does not take it for a shape of the locustfile that imports it

    def __init__(self, guest: Guest) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # untyped in Locust
        self._guest = guest

    def tick(self) -> tuple[int, float] | None:
        """Users and spawn rate, or None when it is over."""
        options, load = self._guest.options, self._guest.load
        users = sum(options.users.values()) or options_users(self._guest)
        if load.second < options.duration_s:
            return users, options.spawn_rate
        overdue = load.second > options.duration_s + options.drain_s
        return None if overdue or self._guest.finished else (users, options.spawn_rate)


def options_users(guest: Guest) -> int:
    """Locust's own number of users, where the mix does not say it."""
    return int(getattr(guest.environment.parsed_options, "num_users", None) or 10)
