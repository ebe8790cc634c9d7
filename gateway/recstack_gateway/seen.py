"""What marks an item as seen in Valkey."""

from collections.abc import Sequence

import numpy as np
from recstack_triton_templates.seen_keys import SeenKeys


def marks(keys: SeenKeys, user: int, item: int, seconds: float, now: float) -> list[Sequence[str | int]]:
    """Commands that mark ``item`` as seen at ``seconds``; none when that is too long ago to count."""
    part = keys.slice_of(seconds)
    expiry = keys.expiry(part)
    if expiry <= now:
        return []
    key = keys.key(user, part)
    positions = keys.bloom.positions(np.array([item], dtype=np.int64)).ravel().tolist()
    sets = [word for position in positions for word in ("SET", "u1", position, 1)]
    return [["BITFIELD", key, *sets], ["EXPIREAT", key, expiry]]
