"""What the online store knows of those who ask, in one round trip for all requests of a call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import valkey

from recstack_triton_templates.request import Request
from recstack_triton_templates.stages.filter_seen_items import Seen
from recstack_triton_templates.stages.transforms import Array

TIMEOUT = 0.1
"""Seconds that a call waits for Valkey at most."""
PAUSE = 1.0
"""Seconds after a failure in which Valkey is not asked: an outage costs one call a second its time-out."""

Command = tuple[Any, ...]


class AskedSeen:
    """What was seen, asked for when it is needed, and what ``rest`` says.

    ``ask``: ids [N] to bool [N]; None: no answer. Then ``lost`` is set, and ``rest`` says all from there on.
    """

    def __init__(self, ask: Callable[[Array], Array | None], rest: Seen | None) -> None:
        self._ask, self._rest = ask, rest
        self.lost = False

    def __call__(self, ids: Array) -> Array:
        """As ``Seen`` has it."""
        seen = np.zeros(len(ids), dtype=bool) if self._rest is None else self._rest(ids)
        answer = None if self.lost else self._ask(ids)
        if answer is None:
            self.lost = True
            return seen
        either: Array = seen | answer
        return either


@dataclass(frozen=True)
class Known:
    """What is known for a request.

    ``user``: raw values [1] by column, none of somebody unknown; None: not from here, the package tells.
    ``seen``: None: nothing. ``degraded``: some of it could not be read.
    """

    user: Mapping[str, Array] | None = None
    seen: Seen | None = None
    degraded: bool = False

    @property
    def incomplete(self) -> bool:
        """``degraded``, or ``seen`` was needed and could not be asked for."""
        return self.degraded or (isinstance(self.seen, AskedSeen) and self.seen.lost)


class OnlineStore(Protocol):
    """Where it is known."""

    def fetch(self, requests: Sequence[Request]) -> list[Known]:
        """For each request; never fails, what cannot be read is ``degraded``."""
        ...


class Reads(Protocol):
    """One kind of thing to know: which commands ask for it, and what their replies mean."""

    def commands(self, request: Request, now: float) -> Sequence[Command]:
        """What to ask for a request; nothing where there is nothing to know. ``now``: since 1970, UTC."""
        ...

    def add(self, known: Known, request: Request, replies: Sequence[Any], now: float) -> Known:
        """``known``, and what the replies to ``commands`` say."""
        ...


class ValkeyPipeline:
    """Commands in one round trip. ``clock``: seconds since 1970, UTC."""

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self._client = valkey.Valkey.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        self._clock = clock
        self._ask_again = 0.0

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """Replies; an exception in the place of what was not answered."""
        now = self._clock()
        if now < self._ask_again:
            return [ConnectionError("Valkey did not answer a moment ago")] * len(commands)
        try:
            pipeline: Any = self._client.pipeline(transaction=False)
            with pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                replies: list[Any] = pipeline.execute(raise_on_error=False)
        except (valkey.ValkeyError, OSError) as error:
            self._ask_again = now + PAUSE
            return [error] * len(commands)
        return replies


class ValkeyOnline:
    """All of ``reads`` in one pipeline. ``clock``: seconds since 1970, UTC."""

    def __init__(self, pipeline: ValkeyPipeline, reads: Sequence[Reads], clock: Callable[[], float]) -> None:
        self._pipeline, self._reads, self._clock = pipeline, reads, clock

    def fetch(self, requests: Sequence[Request]) -> list[Known]:
        """As ``OnlineStore`` has it."""
        now = self._clock()
        known = [Known()] * len(requests)
        wanted = [
            (place, reads, commands)
            for place, request in enumerate(requests)
            for reads in self._reads
            if (commands := reads.commands(request, now))
        ]
        if not wanted:
            return known
        replies = iter(self._pipeline.run([one for _, _, commands in wanted for one in commands]))
        for place, reads, commands in wanted:
            own = [next(replies) for _ in commands]
            if any(isinstance(one, Exception) for one in own):
                known[place] = replace(known[place], degraded=True)
            else:
                known[place] = reads.add(known[place], requests[place], own, now)
        return known
