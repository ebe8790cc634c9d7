"""Reads what a user saw from Valkey, inside Triton's model process."""

from collections.abc import Callable
from typing import cast

import valkey

from recstack_triton_templates.seen_keys import SeenKeys
from recstack_triton_templates.stages.filter_seen_items import Seen, SeenUnavailable

TIMEOUT = 0.1
"""Seconds that a request waits for Valkey at most."""
PAUSE = 1.0
"""Seconds after a failure in which Valkey is not asked: an outage costs one request a second its time-out."""


class ValkeySeen:
    """Bitmaps of a user in one round trip. ``clock``: seconds since 1970, UTC."""

    def __init__(self, url: str, keys: SeenKeys, clock: Callable[[], float]) -> None:
        self._client = valkey.Valkey.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        self._keys, self._bloom, self._clock = keys, keys.bloom, clock
        self._ask_again = 0.0

    def of(self, user_id: int) -> Seen | None:
        """As ``SeenStore`` has it."""
        now = self._clock()
        if now < self._ask_again:
            raise SeenUnavailable("Valkey did not answer a moment ago")
        try:
            found = cast(list[bytes | None], self._client.mget(self._keys.readable(user_id, now)))
        except (valkey.ValkeyError, OSError) as error:
            self._ask_again = now + PAUSE
            raise SeenUnavailable(f"Valkey: {error}") from error
        bitmaps = [bitmap for bitmap in found if bitmap]
        return self._bloom.member(bitmaps) if bitmaps else None
