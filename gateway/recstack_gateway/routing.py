"""Which version answers whom while one takes over step by step."""

import hashlib
import random
from collections.abc import Callable, Sequence

from recstack_gateway.plan import Route

PARTS = 10_000
"""A percent in hundredths: how finely people are divided."""


def place(version: str, user: int) -> int:
    """A person's place among 10,000, the same in every pod and at every time.

    Another one for each version that is tried, so that it is not always the same people who meet the new one.
    """
    digest = hashlib.blake2b(f"{version}:{user}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % PARTS


def choose(
    routes: Sequence[Route], user: int | None, draw: Callable[[], float] = random.random
) -> str | None:
    """Name of the version that one of ``routes`` gives this request to; None: the live one.

    A person whose place is below the weight is the route's, so that a rising weight moves each person once
    and nobody back. Somebody unknown gets one by lot each time.
    """
    for route in routes:
        mine = draw() * PARTS if user is None else place(route.version, user)
        if mine < route.weight * PARTS / 100:
            return route.version
    return None
